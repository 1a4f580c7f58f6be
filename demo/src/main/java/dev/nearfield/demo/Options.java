// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import dev.nearfield.BackendKind;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * The command line.
 *
 * @param limit definitions to search; {@link Integer#MAX_VALUE} for all
 * @param queries none: they are read from the input
 * @param k hits for each query
 * @param backend empty: the best one present
 */
record Options(
    int limit, List<String> queries, int k, Optional<BackendKind> backend, boolean json) {
  static final int DEFAULT_LIMIT = 10_000;
  static final int DEFAULT_K = 10;

  /** More hits than anyone reads; keeps a mistyped number from filling the terminal. */
  static final int MAX_K = 1_000;

  private static final String AUTO = "auto";

  /**
   * @throws UsageException naming the option, the actual value and what it may be
   */
  static Options parse(String... args) {
    int limit = DEFAULT_LIMIT;
    List<String> queries = new ArrayList<>();
    int k = DEFAULT_K;
    Optional<BackendKind> backend = Optional.empty();
    boolean json = false;
    for (int i = 0; i < args.length; i++) {
      String option = args[i];
      switch (option) {
        case "--json" -> json = true;
        case "--limit" -> {
          int value = number(option, value(args, ++i), 0, Integer.MAX_VALUE);
          limit = value == 0 ? Integer.MAX_VALUE : value;
        }
        case "--k" -> k = number(option, value(args, ++i), 1, MAX_K);
        case "--query" -> {
          String query = value(args, ++i);
          if (query.isBlank()) {
            throw new UsageException("demo: --query is blank, it needs at least one word");
          }
          queries.add(query.strip());
        }
        case "--backend" -> backend = backend(value(args, ++i));
        default ->
            throw new UsageException(
                "demo: unknown argument '%s', known are --limit, --query, --k, --backend and --json"
                    .formatted(option));
      }
    }
    return new Options(limit, List.copyOf(queries), k, backend, json);
  }

  private static String value(String[] args, int i) {
    if (i == args.length) {
      throw new UsageException("demo: %s needs a value".formatted(args[i - 1]));
    }
    return args[i];
  }

  private static int number(String option, String text, int min, int max) {
    try {
      int value = Integer.parseInt(text);
      if (value >= min && value <= max) {
        return value;
      }
    } catch (NumberFormatException e) {
      // Said below: out of range and not a number are the same mistake to the user.
    }
    throw new UsageException(
        "demo: %s is '%s', it must be a whole number from %d to %d"
            .formatted(option, text, min, max));
  }

  private static Optional<BackendKind> backend(String name) {
    if (name.equalsIgnoreCase(AUTO)) {
      return Optional.empty();
    }
    return Optional.of(
        Arrays.stream(BackendKind.values())
            .filter(kind -> kind.id().equalsIgnoreCase(name))
            .findFirst()
            .orElseThrow(
                () ->
                    new UsageException(
                        "demo: --backend is '%s', known are %s and %s"
                            .formatted(
                                name,
                                Arrays.stream(BackendKind.values())
                                    .map(BackendKind::id)
                                    .collect(Collectors.joining(", ")),
                                AUTO))));
  }
}
