// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;

/** Makes a failing sequence short enough to read. */
final class Shrink {
  private Shrink() {}

  /**
   * Drops elements while {@code fails} stays true: halves first, then ever smaller runs, until no
   * single element can go or {@code attempts} are used up.
   */
  static <T> List<T> minimise(List<T> failing, int attempts, Predicate<List<T>> fails) {
    List<T> best = new ArrayList<>(failing);
    int left = attempts;
    for (int run = Math.max(1, best.size() / 2); ; run = Math.max(1, run / 2)) {
      boolean dropped = false;
      for (int at = best.size() - run; at >= 0 && left > 0; at -= run) {
        List<T> shorter = new ArrayList<>(best);
        shorter.subList(at, at + run).clear();
        left--;
        if (fails.test(shorter)) {
          best = shorter;
          dropped = true;
        }
      }
      if (left <= 0 || (run == 1 && !dropped)) {
        return best;
      }
      if (dropped) {
        run = Math.min(2 * run, Math.max(1, best.size())); // what was needed may be droppable now
      }
    }
  }
}
