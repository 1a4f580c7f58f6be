// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import dev.nearfield.internal.value.HandleColumn;
import java.util.Collection;

/** Handles in a fixed order, kept as a column of 64-bit words. Immutable. */
public sealed interface VectorHandles extends Iterable<VectorHandle> permits HandleColumn {
  /** A copy of {@code handles}, in their iteration order. */
  static VectorHandles of(Collection<VectorHandle> handles) {
    return new HandleColumn(handles.stream().mapToLong(VectorHandle::bits).toArray());
  }

  int size();

  /**
   * Handle {@code i}.
   *
   * @throws IndexOutOfBoundsException unless {@code 0 <= i < size()}
   */
  VectorHandle get(int i);

  /** {@link VectorHandle#bits()} of handle {@code i}, without allocating. */
  long bits(int i);

  /** The bits of all handles, in a new array. */
  long[] toBits();
}
