// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import dev.nearfield.Device;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

/**
 * The scenarios of {@code bench turns}: what others wait for while one user has something large
 * done, and what small calls cost. Through the public API alone, and through nothing in it that is
 * new: the same classes measure older versions.
 */
final class Turns {
  /**
   * @param rows of the large index
   * @param queries of the large search
   * @param probes to be made at least, in as many rounds as that takes
   * @param seconds after which no further round begins, though there are always {@link #rounds}
   * @param rounds at least
   * @param pace nanoseconds from one probe to the next
   */
  record Setting(
      Device device,
      int rows,
      int dim,
      int queries,
      int probes,
      int seconds,
      int rounds,
      long pace) {}

  private Turns() {}

  static void run(String scenario, Setting setting, Map<String, Object> reply) throws Exception {
    switch (scenario) {
      case "search" -> new LargeSearches(setting).besideSearch(reply);
      case "knn" -> new LargeSearches(setting).besideKnn(reply);
      case "close" -> new LargeSearches(setting).closing(reply);
      case "queue" -> new LargeSearches(setting).fullQueue(reply);
      case "changes" -> new LargeChanges(setting).run(reply);
      case "sets" -> new HandleSetHeap(setting).run(reply);
      case "build" -> new SmallCalls(setting).build(reply);
      case "small-knn" -> new SmallCalls(setting).knn(reply);
      case "single" -> new SmallCalls(setting).single(reply);
      case "clients" -> new SmallCalls(setting).clients(reply);
      default ->
          throw new IllegalArgumentException("command: [%s] is no scenario".formatted(scenario));
    }
  }

  /** Rounds until every line has enough probes or the time is up. */
  static void rounds(Setting setting, List<Waits> lines, Callable<?> round) throws Exception {
    long start = System.nanoTime();
    for (int done = 0;
        done < setting.rounds
            || (lines.stream().anyMatch(line -> line.count() < setting.probes)
                && System.nanoTime() - start < setting.seconds * 1_000_000_000L);
        done++) {
      round.call();
    }
  }
}
