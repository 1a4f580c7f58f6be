// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

/** Turns a text into a vector whose direction is its meaning. Thread-safe. */
interface Embedder {
  /** Floats in every vector. */
  int dimension();

  /**
   * @param text not blank
   * @return {@link #dimension()} finite floats, not all zero
   */
  float[] vector(String text);
}
