// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import java.util.Arrays;

/** A growing column of ints that never copies its elements: growth adds pages. Not thread-safe. */
final class PagedInts {
  /**
   * 64 KiB a page: below the size from which collectors treat an array as huge, small beside any
   * index worth a device.
   */
  private static final int SHIFT = 14;

  private static final int MASK = (1 << SHIFT) - 1;

  private int[][] pages = {};

  int get(int i) {
    return pages[i >>> SHIFT][i & MASK];
  }

  void set(int i, int value) {
    pages[i >>> SHIFT][i & MASK] = value;
  }

  /** Sets the elements {@code from ... to - 1}. */
  void fill(int from, int to, int value) {
    for (int i = from; i < to; ) {
      int end = Math.min(to - i, MASK + 1 - (i & MASK));
      Arrays.fill(pages[i >>> SHIFT], i & MASK, (i & MASK) + end, value);
      i += end;
    }
  }

  /** Makes room for {@code count} elements; new ones are 0. On failure nothing has changed. */
  void ensure(long count) {
    int needed = Math.toIntExact((count + MASK) >>> SHIFT);
    if (needed <= pages.length) {
      return;
    }
    int[][] grown = Arrays.copyOf(pages, needed);
    for (int i = pages.length; i < needed; i++) {
      grown[i] = new int[MASK + 1];
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
