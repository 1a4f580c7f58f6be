// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import java.util.Arrays;

/** A growing array of longs. Not thread-safe. */
final class LongColumn {
  private long[] values = new long[16];
  private int size;

  void add(long value) {
    if (size == values.length) {
      values = Arrays.copyOf(values, size + (size >> 1));
    }
    values[size++] = value;
  }

  long[] toArray() {
    return Arrays.copyOf(values, size);
  }
}
