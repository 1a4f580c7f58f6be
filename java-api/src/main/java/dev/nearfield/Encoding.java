// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/**
 * What an index keeps on its device for scans. Answers are the same whatever it is, to the last
 * bit, unless a search asks for less ({@link SearchRequest.Builder#maxOversample}).
 */
public enum Encoding {
  /** The vectors as they were added, in 32-bit floats. */
  F32,
  /**
   * Beside them codes of one byte a dimension, less than a third of their bytes. A search reads
   * those instead, and fewer the more the vectors are alike: bounds prove which vectors cannot be
   * among the answers, and only the others are looked at in 32-bit floats. Where that is the faster
   * way, for large batches say, all vectors are scanned in floats even so. For every metric but
   * {@link Metric#MANHATTAN}, on every backend but plain Java.
   */
  INT8,
  /**
   * {@link #INT8} wherever there is such a thing, unless {@link
   * AcceleratedVectorIndex.Builder#expectedVectors} promises fewer than 10,000 vectors, or so many
   * that the device or the memory budget has no room for their codes beside them; else {@link
   * #F32}. Decided when the index is made, and again when it moves to another device.
   */
  AUTO
}
