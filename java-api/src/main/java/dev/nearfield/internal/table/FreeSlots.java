// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

/**
 * Slots to be used again, first in, first out. They are linked through their own entries in the
 * rows of the {@link SlotTable}: next free slot as -2 - slot, {@link #END} at the tail.
 */
final class FreeSlots {
  static final int NONE = -1;

  private static final int END = Integer.MIN_VALUE;

  private final PagedInts rows;
  private int head = NONE;
  private int tail = NONE;
  private int count;

  FreeSlots(PagedInts rows) {
    this.rows = rows;
  }

  int count() {
    return count;
  }

  void add(int slot) {
    rows.set(slot, END);
    if (tail == NONE) {
      head = slot;
    } else {
      rows.set(tail, -2 - slot);
    }
    tail = slot;
    count++;
  }

  /** The one that has been free for longest, or {@link #NONE}. */
  int poll() {
    int slot = head;
    if (slot != NONE) {
      int next = rows.get(slot);
      head = next == END ? NONE : -2 - next;
      tail = head == NONE ? NONE : tail;
      count--;
    }
    return slot;
  }
}
