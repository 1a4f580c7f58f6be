// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import dev.nearfield.HandleSet;
import dev.nearfield.VectorHandle;
import java.util.Arrays;
import java.util.function.LongPredicate;
import org.jspecify.annotations.Nullable;

/** The one implementation of {@link HandleSet}; owns its array. */
public final class SortedHandles implements HandleSet {
  private static final long NOBODY = -1;

  private final long[] sorted;
  private volatile long knownTo = NOBODY;
  private volatile @Nullable RowMask mask;

  private SortedHandles(long[] sortedAndUnique) {
    this.sorted = sortedAndUnique;
  }

  /** Takes the array over. */
  public static SortedHandles ofBits(long[] bits) {
    Arrays.sort(bits);
    int unique = 0;
    for (int i = 0; i < bits.length; i++) {
      if (i == 0 || bits[i] != bits[i - 1]) {
        bits[unique++] = bits[i];
      }
    }
    return new SortedHandles(unique == bits.length ? bits : Arrays.copyOf(bits, unique));
  }

  /** Takes the array over, which must be ascending (unsigned slots are below 2^31) and unique. */
  static SortedHandles ofSorted(long[] bits) {
    return new SortedHandles(bits);
  }

  @Override
  public int size() {
    return sorted.length;
  }

  @Override
  public boolean contains(VectorHandle handle) {
    return Arrays.binarySearch(sorted, handle.bits()) >= 0;
  }

  @Override
  public SortedHandles filter(LongPredicate keep) {
    return new SortedHandles(Arrays.stream(sorted).filter(keep).toArray());
  }

  @Override
  public long[] toBits() {
    return sorted.clone();
  }

  /** Ascending and unique; not to be changed. */
  public long[] sortedBits() {
    return sorted;
  }

  /**
   * Whether all handles were found to be issued by the table with that id, the last one that was
   * asked.
   */
  boolean isKnownTo(long table) {
    return knownTo == table;
  }

  void setKnownTo(long table) {
    knownTo = table;
  }

  /** The mask made last; like all else here it keeps no index alive, and none keeps it. */
  @Nullable RowMask mask() {
    return mask;
  }

  void setMask(RowMask made) {
    mask = made;
  }

  @Override
  public String toString() {
    return "HandleSet of " + sorted.length;
  }
}
