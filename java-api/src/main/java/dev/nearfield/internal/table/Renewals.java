// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

/**
 * The rows that were given another handle last: in masks made before, they are to be taken out.
 * Guarded as the {@link SlotTable} it belongs to.
 */
final class Renewals {
  /** As many as are taken out of a mask in a few microseconds. */
  static final int KEPT = 1 << 12;

  private final int[] rows = new int[KEPT];
  private long count;

  void add(int row) {
    rows[(int) (count++ % KEPT)] = row;
  }

  /** How many there have been. */
  long count() {
    return count;
  }

  /** Whether all after the first {@code seen} are remembered. */
  boolean remembers(long seen) {
    return count - seen <= KEPT;
  }

  /** The rows of those after the first {@code seen}. */
  int[] since(long seen) {
    int[] some = new int[(int) (count - seen)];
    for (int i = 0; i < some.length; i++) {
      some[i] = rows[(int) ((seen + i) % KEPT)];
    }
    return some;
  }
}
