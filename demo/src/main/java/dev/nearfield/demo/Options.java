// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import dev.nearfield.BackendKind;
import dev.nearfield.IndexSpec;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.stream.Collectors;

/**
 * The command line.
 *
 * @param limit definitions to search; {@link Integer#MAX_VALUE} for all
 * @param queries none: they are read from the input
 * @param k hits for each query
 * @param backend empty: the best one present
 * @param spec of the index
 * @param recall that searches of lists aim at; empty: the library's own default
 * @param export where the vectors go, empty: nowhere; without queries, nothing is searched then
 */
record Options(
    int limit,
    List<String> queries,
    int k,
    Optional<BackendKind> backend,
    IndexSpec spec,
    OptionalDouble recall,
    boolean json,
    Optional<Path> export) {
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
    IndexSpec spec = IndexSpec.flat();
    OptionalDouble recall = OptionalDouble.empty();
    boolean json = false;
    Optional<Path> export = Optional.empty();
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
        case "--export" -> export = Optional.of(file(value(args, ++i)));
        case "--backend" -> backend = backend(value(args, ++i));
        case "--index" -> spec = spec(value(args, ++i));
        case "--recall" -> recall = OptionalDouble.of(recall(value(args, ++i)));
        default ->
            throw new UsageException(
                ("demo: unknown argument '%s', known are --limit, --query, --k, --backend, --index,"
                        + " --recall, --export and --json")
                    .formatted(option));
      }
    }
    if (recall.isPresent() && !(spec instanceof IndexSpec.Ivf)) {
      throw new UsageException(
          "demo: --recall is %s, it needs --index ivf: a flat index finds all"
              .formatted(recall.getAsDouble()));
    }
    return new Options(limit, List.copyOf(queries), k, backend, spec, recall, json, export);
  }

  private static String value(String[] args, int i) {
    if (i == args.length) {
      throw new UsageException("demo: %s needs a value".formatted(args[i - 1]));
    }
    return args[i];
  }

  private static Path file(String text) {
    if (!text.endsWith(FbinFile.SUFFIX)) {
      throw new UsageException(
          "demo: --export is '%s', it must end in %s".formatted(text, FbinFile.SUFFIX));
    }
    return Path.of(text);
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

  private static IndexSpec spec(String name) {
    return switch (name.toLowerCase(Locale.ROOT)) {
      case "flat" -> IndexSpec.flat();
      case "ivf" -> IndexSpec.ivf(0);
      default ->
          throw new UsageException("demo: --index is '%s', known are flat and ivf".formatted(name));
    };
  }

  private static double recall(String text) {
    try {
      double value = Double.parseDouble(text);
      if (value > 0 && value <= 1) {
        return value;
      }
    } catch (NumberFormatException e) {
      // As of whole numbers.
    }
    throw new UsageException(
        "demo: --recall is '%s', it must be a number above 0 and at most 1".formatted(text));
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
