// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.value;

import dev.nearfield.VectorHandle;
import dev.nearfield.VectorHandles;
import java.util.Arrays;
import java.util.Iterator;
import java.util.stream.Collectors;

/** The one implementation of {@link VectorHandles}; owns its array. */
public final class HandleColumn implements VectorHandles {
  private final long[] bits;

  public HandleColumn(long[] bits) {
    this.bits = bits;
  }

  @Override
  public int size() {
    return bits.length;
  }

  @Override
  public VectorHandle get(int i) {
    return new VectorHandle(bits[i]);
  }

  @Override
  public long bits(int i) {
    return bits[i];
  }

  @Override
  public long[] toBits() {
    return bits.clone();
  }

  @Override
  public Iterator<VectorHandle> iterator() {
    return Arrays.stream(bits).mapToObj(VectorHandle::new).iterator();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof HandleColumn that && Arrays.equals(bits, that.bits);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(bits);
  }

  @Override
  public String toString() {
    return Arrays.stream(bits)
        .mapToObj(handle -> new VectorHandle(handle).toString())
        .collect(Collectors.joining(", ", "[", "]"));
  }
}
