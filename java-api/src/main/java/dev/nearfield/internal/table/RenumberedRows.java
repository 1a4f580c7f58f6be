// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;

/**
 * A compaction under way: the new numbers of the rows it has passed, and the slots of those. In a
 * turn.
 */
final class RenumberedRows {
  private final long start = System.nanoTime();
  private final PagedInts newRow = new PagedInts();
  private final PagedInts slotOfNewRow = new PagedInts();
  private final Renumbering renumbering = new Renumbering(newRow);
  private int passed;
  private int kept;
  private int moved;

  /** Makes room for the next {@code window} rows, and for all slots: what follows cannot fail. */
  void reserve(int window, int slots) {
    newRow.ensure((long) passed + window);
    slotOfNewRow.ensure((long) kept + window);
    renumbering.reserve(slots);
  }

  /** Takes the numbers of the rows {@code first ... end - 1}. */
  void pass(MemorySegment numbers, int first, int end, PagedInts slotOfRow) {
    if (first != passed) { // anew: first is 0
      passed = 0;
      kept = 0;
      moved = 0;
    }
    for (int row = first; row < end; row++) {
      int to = (int) numbers.getAtIndex(ValueLayout.JAVA_LONG, row - first);
      newRow.set(row, to);
      if (to >= 0) {
        int slot = slotOfRow.get(row);
        slotOfNewRow.set(to, slot);
        moved += slot != RowSlots.NO_SLOT && to != row ? 1 : 0;
        kept = to + 1; // order is kept
      }
    }
    passed = end;
  }

  /** The vector of a row was removed. */
  void removed(int row) {
    if (row < passed) {
      int to = newRow.get(row);
      if (to >= 0) {
        slotOfNewRow.set(to, RowSlots.NO_SLOT);
        moved -= to != row ? 1 : 0;
      }
    }
  }

  int passed() {
    return passed;
  }

  int kept() {
    return kept;
  }

  int moved() {
    return moved;
  }

  PagedInts slotOfNewRow() {
    return slotOfNewRow;
  }

  Renumbering renumbering() {
    return renumbering;
  }

  Duration elapsed() {
    return Duration.ofNanos(System.nanoTime() - start);
  }

  long bytes() {
    return slotOfNewRow.bytes() + renumbering.bytes();
  }
}
