// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import dev.nearfield.internal.engine.Engine;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The rows of a set of handles, as a device takes them. Made outside turns; right until rows are
 * renumbered, once the rows that have got another handle since are taken out ({@link
 * SlotTable#refresh}): removed rows are excluded by their live bit, and rows added later hold
 * handles that no earlier set can contain.
 */
public final class RowMask {
  /** What a mask is made as of: from then on it needs to be told what changed. */
  record Moment(long table, long numbering, long renewals, int rows) {}

  private final Moment made;
  private volatile long renewalsSeen;
  private Engine.RowFilter rows; // changes in turns only

  private RowMask(Moment made, long renewalsSeen, Engine.RowFilter rows) {
    this.made = made;
    this.renewalsSeen = renewalsSeen;
    this.rows = rows;
  }

  /**
   * The mask of a set, made on this thread unless the set has one that is still of use. Any thread
   * without a turn.
   *
   * @param kept whether the set may come again; the mask stays with it then
   * @throws IllegalArgumentException when a handle was never issued
   */
  public static RowMask of(SlotTable slots, SortedHandles handles, boolean kept) {
    RowMask known = handles.mask();
    if (known != null && slots.isUsable(known)) {
      return known;
    }
    RowMask made;
    do {
      made = make(new RowLookup(slots, handles.sortedBits()), kept);
    } while (made == null);
    RowMask other = handles.mask(); // made meanwhile: searches that share it share its transfer
    if (other != null && other != known && slots.isUsable(other)) {
      return other;
    }
    if (kept) {
      handles.setMask(made);
    }
    return made;
  }

  /** Null when the lookup turns out stale. */
  static @Nullable RowMask make(RowLookup lookup, boolean kept) {
    // A row number takes 64 bits, a mask one bit per row: take the smaller.
    Engine.RowFilter rows =
        (long) lookup.handleCount() * Long.SIZE < lookup.begun().rows()
            ? list(lookup, kept)
            : words(lookup, kept);
    return lookup.isStale() ? null : new RowMask(lookup.begun(), lookup.renewalsSeen(), rows);
  }

  private static Engine.RowFilter list(RowLookup lookup, boolean kept) {
    long[] rows = new long[lookup.handleCount()];
    LongColumn renewed = new LongColumn();
    int count = 0;
    while (lookup.next()) {
      for (int row : lookup.renewed()) {
        renewed.add(row);
      }
      for (int i = 0; i < lookup.count(); i++) {
        if (lookup.row(i) != SlotTable.NO_ROW) {
          rows[count++] = lookup.row(i);
        }
      }
    }
    count = without(renewed.toArray(), rows, count);
    Arrays.sort(rows, 0, count);
    MemorySegment memory = MemorySegment.ofArray(rows).asSlice(0, (long) count * Long.BYTES);
    return new Engine.RowFilter.Rows(kept ? nativeCopy(memory, Long.BYTES) : memory, count);
  }

  /** No handle of the set came with a renewal, so their order does not matter. */
  private static int without(long[] renewed, long[] rows, int count) {
    if (renewed.length == 0) {
      return count;
    }
    Arrays.sort(renewed);
    int left = 0;
    for (int i = 0; i < count; i++) {
      if (Arrays.binarySearch(renewed, rows[i]) < 0) {
        rows[left++] = rows[i];
      }
    }
    return left;
  }

  private static Engine.RowFilter words(RowLookup lookup, boolean kept) {
    int[] words = new int[Math.max(1, (int) ((lookup.begun().rows() + 31L) >>> 5))];
    while (lookup.next()) {
      for (int row : lookup.renewed()) {
        if (row >>> 5 < words.length) { // else it came later
          words[row >>> 5] &= ~(1 << (row & 31));
        }
      }
      for (int i = 0; i < lookup.count(); i++) {
        int row = lookup.row(i);
        if (row != SlotTable.NO_ROW) {
          words[row >>> 5] |= 1 << (row & 31);
        }
      }
    }
    MemorySegment memory = MemorySegment.ofArray(words);
    return new Engine.RowFilter.Bits(
        kept ? nativeCopy(memory, Integer.BYTES) : memory, words.length);
  }

  /**
   * A mask that is searched with again is native: a device copies it from the heap for each call.
   * One that is not stays on the heap, where nothing of it waits for a collection.
   */
  private static MemorySegment nativeCopy(MemorySegment heap, int alignment) {
    return Arena.ofAuto().allocate(Math.max(1, heap.byteSize()), alignment).copyFrom(heap);
  }

  Moment made() {
    return made;
  }

  long renewalsSeen() {
    return renewalsSeen;
  }

  /** In a turn, once {@link SlotTable#refresh} has answered true. */
  public Engine.RowFilter rows() {
    return rows;
  }

  /** Takes out rows that have got other handles; {@code seen} of those there have been then. */
  void takeOut(int[] renewed, long seen) {
    switch (rows) {
      case Engine.RowFilter.Bits(MemorySegment words, long count) -> {
        for (int row : renewed) {
          int word = row >>> 5;
          if (word < count) { // else the row came after the mask
            int old = words.getAtIndex(ValueLayout.JAVA_INT, word);
            words.setAtIndex(ValueLayout.JAVA_INT, word, old & ~(1 << (row & 31)));
          }
        }
      }
      case Engine.RowFilter.Rows(MemorySegment list, long count) ->
          rows = new Engine.RowFilter.Rows(list, without(renewed, list, count));
    }
    renewalsSeen = seen;
  }

  private static long without(int[] renewed, MemorySegment list, long count) {
    Arrays.sort(renewed);
    boolean any = false;
    for (int i = 0; i < renewed.length && !any; i++) {
      any = holds(list, count, renewed[i]);
    }
    if (!any) {
      return count;
    }
    long left = 0;
    for (long i = 0; i < count; i++) {
      long row = list.getAtIndex(ValueLayout.JAVA_LONG, i);
      if (Arrays.binarySearch(renewed, (int) row) < 0) {
        list.setAtIndex(ValueLayout.JAVA_LONG, left++, row);
      }
    }
    return left;
  }

  private static boolean holds(MemorySegment list, long count, long row) {
    long from = 0;
    long to = count;
    while (from < to) {
      long middle = (from + to) >>> 1;
      if (list.getAtIndex(ValueLayout.JAVA_LONG, middle) < row) {
        from = middle + 1;
      } else {
        to = middle;
      }
    }
    return from < count && list.getAtIndex(ValueLayout.JAVA_LONG, from) == row;
  }
}
