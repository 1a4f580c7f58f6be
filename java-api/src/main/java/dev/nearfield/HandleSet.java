// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.Arrays;
import java.util.Collection;
import java.util.function.LongPredicate;
import org.jspecify.annotations.Nullable;

/**
 * A set of handles to search within ({@link SearchRequest.Builder#filter(HandleSet)}). Immutable.
 * An index remembers the row mask of the sets it met last, so keep and reuse a set that serves many
 * searches. Handles that have gone stale since match nothing.
 */
public final class HandleSet {
  private final long[] sorted;
  private volatile @Nullable Object knownTo;

  private HandleSet(long[] sortedAndUnique) {
    this.sorted = sortedAndUnique;
  }

  /** The set of {@code handles}; duplicates count once. */
  public static HandleSet of(VectorHandles handles) {
    return ofBits(handles.toBits());
  }

  /** The set of {@code handles}; duplicates count once. */
  public static HandleSet of(Collection<VectorHandle> handles) {
    return of(VectorHandles.of(handles));
  }

  /**
   * The set of the handles with these {@link VectorHandle#bits() bits}; duplicates count once. The
   * array is copied.
   */
  public static HandleSet of(long... handleBits) {
    return ofBits(handleBits.clone());
  }

  /** Takes the array over. */
  static HandleSet ofBits(long[] bits) {
    Arrays.sort(bits);
    int unique = 0;
    for (int i = 0; i < bits.length; i++) {
      if (i == 0 || bits[i] != bits[i - 1]) {
        bits[unique++] = bits[i];
      }
    }
    return new HandleSet(unique == bits.length ? bits : Arrays.copyOf(bits, unique));
  }

  /** Takes the array over, which must be ascending (unsigned slots are below 2^31) and unique. */
  static HandleSet ofSorted(long[] bits) {
    return new HandleSet(bits);
  }

  public int size() {
    return sorted.length;
  }

  public boolean contains(VectorHandle handle) {
    return Arrays.binarySearch(sorted, handle.bits()) >= 0;
  }

  /** The handles whose bits pass {@code keep}, called on this thread. */
  public HandleSet filter(LongPredicate keep) {
    return new HandleSet(Arrays.stream(sorted).filter(keep).toArray());
  }

  /** Ascending and unique; not to be changed. */
  long[] sortedBits() {
    return sorted;
  }

  /** Whether all handles were found to be issued by that table, the last one that was asked. */
  boolean isKnownTo(Object table) {
    return knownTo == table;
  }

  void setKnownTo(Object table) {
    knownTo = table;
  }

  @Override
  public String toString() {
    return "HandleSet of " + sorted.length;
  }
}
