// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** A vector as an index holds it. Immutable. */
public interface StoredVector {
  VectorHandle handle();

  /** A new array with the floats as they were added, bit for bit. */
  float[] vector();
}
