// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** Some vectors on their way between devices, with the slots they belong to. */
final class LiveRows {
  final float[] vectors;
  final int[] slots;
  int count;

  LiveRows(int capacity, int dim) {
    vectors = new float[Math.multiplyExact(capacity, dim)];
    slots = new int[capacity];
  }
}
