// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

/** Some vectors on their way between devices, with the slots they belong to. */
public final class LiveRows {
  /**
   * Bytes of a chunk: long against the cost of a device call, short against a turn, and with the
   * device's copy of it within two caches; twice and half as much were 10 to 20% slower.
   */
  static final int CHUNK_BYTES = 2 << 20;

  final float[] vectors;
  final int[] slots;
  int count;

  /** Rows of a chunk. */
  public static int chunkRows(int dim) {
    return Math.max(1, CHUNK_BYTES / Float.BYTES / dim);
  }

  public LiveRows(int capacity, int dim) {
    vectors = new float[Math.multiplyExact(capacity, dim)];
    slots = new int[capacity];
  }
}
