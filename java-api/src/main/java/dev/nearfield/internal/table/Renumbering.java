// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

/**
 * The way from the row numbers before a compaction to those after it, while slots carry either: the
 * slots that were there are rewritten in order, a step at a time, and one that is given another row
 * meanwhile is marked. Guarded as the {@link SlotTable} it belongs to.
 */
final class Renumbering {
  private final PagedInts newRow;
  private final PagedBits fresh = new PagedBits();
  private int next;
  private int end;

  /** {@code newRow}: of each old row; to be filled before {@link #begin}. */
  Renumbering(PagedInts newRow) {
    this.newRow = newRow;
  }

  /** Makes room for that many slots, so that {@link #begin} cannot fail. */
  void reserve(int slots) {
    fresh.ensure(slots);
  }

  void begin(int slots) {
    end = slots;
  }

  /** The row of a slot that carries {@code row}. */
  int translate(int slot, int row) {
    return slot < next || slot >= end || fresh.get(slot) ? row : newRow.get(row);
  }

  /** The slot carries a new number now. */
  void written(int slot) {
    if (slot >= next && slot < end) {
      fresh.set(slot);
    }
  }

  /** Rewrites the next {@code count} slots in {@code rows}; answers how many are left. */
  int step(PagedInts rows, int count) {
    int to = Math.min(end, next + count);
    for (int slot = next; slot < to; slot++) {
      int row = rows.get(slot);
      if (row >= 0) {
        rows.set(slot, translate(slot, row));
      }
    }
    next = to;
    return end - next;
  }

  long bytes() {
    return newRow.bytes() + fresh.bytes();
  }
}
