// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

/**
 * A growing set of small numbers, one bit each; ranges are set and cleared a word at a time. Not
 * thread-safe.
 */
final class PagedBits {
  private final PagedInts words = new PagedInts();

  /** Makes room for the numbers below {@code count}; those without room are not in the set. */
  void ensure(long count) {
    words.ensure((count + 31) >>> 5);
  }

  boolean get(int i) {
    return i >>> 5 < words.capacity() && (words.get(i >>> 5) & 1 << (i & 31)) != 0;
  }

  void set(int i) {
    words.set(i >>> 5, words.get(i >>> 5) | 1 << (i & 31));
  }

  /** Adds {@code from ... to - 1}, or takes them out. */
  void set(int from, int to, boolean in) {
    if (from >= to) {
      return;
    }
    int first = from >>> 5;
    int last = (to - 1) >>> 5;
    int head = -1 << (from & 31);
    int tail = -1 >>> (31 - ((to - 1) & 31));
    if (first == last) {
      change(first, head & tail, in);
      return;
    }
    change(first, head, in);
    words.fill(first + 1, last, in ? -1 : 0);
    change(last, tail, in);
  }

  private void change(int word, int bits, boolean in) {
    words.set(word, in ? words.get(word) | bits : words.get(word) & ~bits);
  }

  long bytes() {
    return words.bytes();
  }
}
