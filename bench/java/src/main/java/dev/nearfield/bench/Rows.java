// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.Device;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.VectorBatch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;

/** Random vectors outside the heap. */
final class Rows implements AutoCloseable {
  static final int K = 10;

  final VectorBatch all;
  private final Arena arena = Arena.ofShared();

  Rows(int rows, int dim, long seed) {
    long rowBytes = (long) dim * Float.BYTES;
    MemorySegment values = arena.allocate(rows * rowBytes, 64);
    RandomGenerator random = new SplittableRandom(seed);
    for (long i = 0; i < (long) rows * dim; i++) {
      values.setAtIndex(ValueLayout.JAVA_FLOAT, i, random.nextFloat() - 0.5f);
    }
    all = VectorBatch.of(values, rows, dim, rowBytes);
  }

  /** Empty, and never compacted by itself. */
  static AcceleratedVectorIndex index(Device device, int dim) {
    return AcceleratedVectorIndex.builder(dim, Metric.L2_SQUARED)
        .device(device)
        .autoCompaction(1)
        .build();
  }

  /** All rows as the queries of one search. */
  SearchRequest search() {
    return SearchRequest.builder().queries(all).topK(K).build();
  }

  @Override
  public void close() {
    arena.close();
  }
}
