// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.Encoding;
import dev.nearfield.VectorBatch;
import dev.nearfield.internal.engine.FitSample;
import dev.nearfield.internal.engine.VectorCheck;
import dev.nearfield.internal.table.IndexConfig;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Copies and checks what callers give, on their own threads: what is checked is the copy, which
 * nobody changes any more.
 */
final class VectorIntake {
  /** Stays in the first-level cache while it is checked. */
  private static final int CHECK_BYTES = 16 << 10;

  private final VectorCheck check; // of vectors to keep
  private final VectorCheck queryCheck;
  private final int dim;

  VectorIntake(IndexConfig config) {
    this.queryCheck = new VectorCheck(config.metric(), config.dim(), config.poincareMaxNorm());
    this.check = config.encoding() == Encoding.INT8_ONLY ? queryCheck.ofCodesAlone() : queryCheck;
    this.dim = config.dim();
  }

  void checkDimension(String operation, int dimension) {
    check.checkDimension(operation, dimension);
  }

  float[] vector(String operation, float[] vector) {
    check.checkDimension(operation, vector.length);
    float[] copy = vector.clone();
    check.check(operation, "vector", 0, copy, 0);
    return copy;
  }

  /** All of a batch, row-major. */
  float[] vectors(String operation, VectorBatch batch) {
    float[] copy = copy(batch);
    check.checkAll(operation, "vector", 0, copy, batch.size());
    return copy;
  }

  /** The same of what is searched for. */
  float[] queries(String operation, VectorBatch batch) {
    float[] copy = copy(batch);
    queryCheck.checkAll(operation, "query", 0, copy, batch.size());
    return copy;
  }

  private float[] copy(VectorBatch batch) {
    float[] copy = new float[Math.multiplyExact(batch.size(), dim)];
    batch.copyTo(0, batch.size(), MemorySegment.ofArray(copy));
    return copy;
  }

  /** A copy in native memory of what lists are to be trained on. */
  FitSample sample(String operation, VectorBatch batch) {
    checkDimension(operation, batch.dimension());
    MemorySegment copy = Arena.ofAuto().allocate(batch.byteSize(), Float.BYTES);
    copyChecked(operation, batch, 0, batch.size(), copy);
    return new FitSample(copy.asReadOnly(), batch.size());
  }

  /** Hands a large insert its chunks, as long as it takes them. */
  void feed(InsertJob job, VectorBatch vectors) {
    try {
      for (int first = 0; first < vectors.size(); first += job.chunkRows) {
        MemorySegment buffer = job.buffer();
        if (buffer == null) {
          return;
        }
        copyChecked(
            "addAll", vectors, first, Math.min(job.chunkRows, vectors.size() - first), buffer);
        job.copied();
      }
    } catch (RuntimeException | Error e) { // a bad vector, or a segment closed meanwhile
      job.abort(e);
      try {
        job.await();
      } catch (RuntimeException expected) {
        e.addSuppressed(expected);
      }
      throw e;
    }
  }

  /** A few rows at a time: what is checked is what was copied, and still in the nearest cache. */
  private void copyChecked(
      String operation, VectorBatch vectors, int first, int count, MemorySegment to) {
    int step = Math.max(1, CHECK_BYTES / Float.BYTES / dim);
    int[] bits = new int[Math.min(step, count) * dim];
    for (int done = 0; done < count; done += step) {
      int some = Math.min(step, count - done);
      long at = (long) done * dim * Float.BYTES;
      vectors.copyTo(first + done, some, to.asSlice(at));
      MemorySegment.copy(to, ValueLayout.JAVA_INT, at, bits, 0, some * dim);
      if (!check.plainlyFine(bits, some)) {
        float[] values = new float[some * dim];
        MemorySegment.copy(to, ValueLayout.JAVA_FLOAT, at, values, 0, values.length);
        check.checkAll(operation, "vector", first + done, values, some);
      }
    }
  }
}
