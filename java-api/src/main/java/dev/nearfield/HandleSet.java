// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import dev.nearfield.internal.table.SortedHandles;
import java.util.Collection;
import java.util.function.LongPredicate;

/**
 * A set of handles to search within ({@link SearchRequest.Builder#filter(HandleSet)}). Immutable. A
 * set remembers the row mask it was last searched with, a bit per row of one index at most, so keep
 * and reuse one that serves many searches. Handles that have gone stale since match nothing.
 */
public sealed interface HandleSet permits SortedHandles {
  /** The set of {@code handles}; duplicates count once. */
  static HandleSet of(VectorHandles handles) {
    return SortedHandles.ofBits(handles.toBits());
  }

  /** The set of {@code handles}; duplicates count once. */
  static HandleSet of(Collection<VectorHandle> handles) {
    return of(VectorHandles.of(handles));
  }

  /**
   * The set of the handles with these {@link VectorHandle#bits() bits}; duplicates count once. The
   * array is copied.
   */
  static HandleSet of(long... handleBits) {
    return SortedHandles.ofBits(handleBits.clone());
  }

  int size();

  boolean contains(VectorHandle handle);

  /** The handles whose bits pass {@code keep}, called on this thread. */
  HandleSet filter(LongPredicate keep);

  /** The bits of all handles, ascending, in a new array. */
  long[] toBits();
}
