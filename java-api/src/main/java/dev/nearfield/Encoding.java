// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/**
 * What an index keeps of its vectors on its device. Answers are the same whatever it is, to the
 * last bit, unless a search asks for less ({@link SearchRequest.Builder#maxOversample}) or the
 * index keeps {@link #INT8_ONLY}.
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
   * Codes of one byte a dimension, and no vectors in 32-bit floats: some 0.3 of the memory of
   * {@link #F32} (a third at 128 dimensions, 0.29 at 1,536). A vector becomes what its codes stand
   * for when it is added; {@link AcceleratedVectorIndex#get} gives that, with {@link Metric#COSINE}
   * of the vector scaled to length 1. Answers are those of an {@link #F32} index of these vectors,
   * to the last bit, and of the vectors that were added nothing is proven: no answer is {@linkplain
   * SearchResult#certified certified}, and {@link SearchRequest.Builder#exact} is refused.
   *
   * <p>The codes are of the dimensions as they are, unless the builder is given a sample of the
   * vectors to come ({@link AcceleratedVectorIndex.Builder#codesFittedTo}), which makes searches
   * faster; it cannot be done later. When the index moves to another device its vectors are coded
   * once more, from what {@code get} gives, and may change by another rounding.
   *
   * <p>For {@link Metric#L2_SQUARED} and {@link Metric#DOT}, of vectors no longer than 2^48 (what
   * {@code get} gives may be a little longer), and for {@link Metric#COSINE}; not on plain Java.
   * {@link #AUTO} never chooses it.
   */
  INT8_ONLY,
  /**
   * {@link #INT8} wherever there is such a thing, unless {@link
   * AcceleratedVectorIndex.Builder#expectedVectors} promises fewer than 10,000 vectors, or so many
   * that the device or the memory budget has no room for their codes beside them; else {@link
   * #F32}. Decided when the index is made, and again when it moves to another device.
   */
  AUTO
}
