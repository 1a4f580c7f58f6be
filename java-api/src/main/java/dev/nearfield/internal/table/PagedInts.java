// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * A growing column of ints that never copies its elements: growth adds pages. Outside the heap,
 * where a collector would move the pages of a large index: at 10 million rows those were pauses of
 * 40 to 250 ms (issue 11). Freed when nothing refers to it. Not thread-safe.
 */
final class PagedInts {
  /** 64 KiB a page: small beside any index worth a device. */
  private static final int SHIFT = 14;

  private static final int MASK = (1 << SHIFT) - 1;
  private static final long PAGE_BYTES = (long) Integer.BYTES << SHIFT;

  private final Arena arena = Arena.ofAuto();
  private MemorySegment[] pages = {};

  int get(int i) {
    return pages[i >>> SHIFT].getAtIndex(ValueLayout.JAVA_INT, i & MASK);
  }

  void set(int i, int value) {
    pages[i >>> SHIFT].setAtIndex(ValueLayout.JAVA_INT, i & MASK, value);
  }

  /** Sets the elements {@code from ... to - 1}. */
  void fill(int from, int to, int value) {
    for (int i = from; i < to; i++) {
      set(i, value);
    }
  }

  /** Makes room for {@code count} elements; new ones are 0. On failure nothing has changed. */
  void ensure(long count) {
    int needed = Math.toIntExact((count + MASK) >>> SHIFT);
    if (needed <= pages.length) {
      return;
    }
    MemorySegment[] grown = Arrays.copyOf(pages, needed);
    for (int i = pages.length; i < needed; i++) {
      grown[i] = arena.allocate(PAGE_BYTES, Integer.BYTES);
    }
    pages = grown;
  }

  /** How many elements there is room for. */
  long capacity() {
    return (long) pages.length << SHIFT;
  }

  long bytes() {
    return capacity() * Integer.BYTES;
  }
}
