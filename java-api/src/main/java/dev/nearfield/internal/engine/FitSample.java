// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.engine;

import dev.nearfield.VectorBatch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;

/**
 * Vectors that the codes of an empty index are fitted to, in native memory that nobody changes and
 * that is free once nobody has them.
 *
 * @param vectors {@code count} x dim f32
 */
public record FitSample(MemorySegment vectors, int count) {
  /** As many rows as a fit looks at: default_sample_rows() of native/common/train.hpp. */
  static int rows(int dim) {
    long most = (128L << 20) / ((long) dim * Float.BYTES);
    return (int) Math.min(most, Math.max(4096, 32L * dim));
  }

  /**
   * A copy of at most {@link #rows} vectors, one of every stratum of the batch: neighbours are
   * often alike. What is copied is checked.
   *
   * @throws IllegalArgumentException when there are fewer than 2, or one is refused
   */
  public static FitSample of(String operation, VectorBatch from, VectorCheck check) {
    int dim = from.dimension();
    check.checkDimension(operation, dim);
    int all = from.size();
    if (all < 2) {
      throw new IllegalArgumentException(
          "%s: [%d] vectors, codes are fitted to at least 2".formatted(operation, all));
    }
    int count = Math.min(all, rows(dim));
    long rowBytes = (long) dim * Float.BYTES;
    MemorySegment copy =
        Arena.ofAuto().allocate(count * rowBytes, ValueLayout.JAVA_FLOAT.byteSize());
    SplittableRandom random = new SplittableRandom(0); // the same vectors make the same codes
    float[] row = new float[dim];
    for (int i = 0; i < count; i++) {
      int begin = (int) ((long) all * i / count);
      int end = (int) ((long) all * (i + 1) / count);
      int chosen = random.nextInt(begin, end);
      from.copyTo(chosen, 1, MemorySegment.ofArray(row));
      check.check(operation, "vector", chosen, row, 0);
      MemorySegment.copy(row, 0, copy, ValueLayout.JAVA_FLOAT, i * rowBytes, dim);
    }
    return new FitSample(copy.asReadOnly(), count);
  }
}
