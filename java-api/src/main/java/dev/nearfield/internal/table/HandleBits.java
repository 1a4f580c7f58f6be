// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import dev.nearfield.VectorHandle;

/** What the 64 bits of a {@link VectorHandle} say: a slot and a generation, 32 bits each. */
public final class HandleBits {
  private HandleBits() {}

  static long of(int slot, int generation) {
    return ((long) slot << 32) | Integer.toUnsignedLong(generation);
  }

  public static int slot(long bits) {
    return (int) (bits >>> 32);
  }

  static int generation(long bits) {
    return (int) bits;
  }
}
