// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;

/**
 * A view of {@link #size()} vectors of {@link #dimension()} floats in memory of the caller. Nothing
 * is copied until the batch is handed to an operation, which copies it on the calling thread before
 * it returns or queues anything: afterwards the memory may be changed or freed. Values are checked
 * by the operation.
 *
 * <p>A batch is as thread-safe as the memory behind it: reading a thread-confined segment on
 * another thread throws {@link WrongThreadException}, a closed one {@link IllegalStateException}.
 */
public abstract sealed class VectorBatch {
  private final int size;
  private final int dimension;

  private VectorBatch(int size, int dimension) {
    if (size < 1) {
      throw new IllegalArgumentException(
          "VectorBatch.of: [" + size + "] rows, at least 1 is needed");
    }
    if (dimension < 1) {
      throw new IllegalArgumentException(
          "VectorBatch.of: dimension [" + dimension + "], at least 1 is needed");
    }
    this.size = size;
    this.dimension = dimension;
  }

  /**
   * The arrays of {@code rows}, in order.
   *
   * @throws IllegalArgumentException when there are none, or when their lengths differ or are 0
   */
  public static VectorBatch of(float[][] rows) {
    float[][] own = rows.clone(); // so that no row can become null or change its length later
    int dimension = own.length == 0 || own[0] == null ? 1 : own[0].length;
    for (int i = 0; i < own.length; i++) {
      if (own[i] == null) {
        throw new NullPointerException("VectorBatch.of: row [" + i + "] is null");
      }
      if (own[i].length != dimension) {
        throw new IllegalArgumentException(
            "VectorBatch.of: row [%d] has [%d] floats, row 0 has %d"
                .formatted(i, own[i].length, dimension));
      }
    }
    return new OfArrays(own, dimension);
  }

  /**
   * Rows of 32-bit floats in native byte order; row i starts at {@code i * strideBytes}. No
   * alignment is needed.
   *
   * @param strideBytes at least {@code 4 * dimension}
   * @throws IllegalArgumentException when there are no rows, or when they do not fit the segment
   */
  public static VectorBatch of(MemorySegment segment, int rows, int dimension, long strideBytes) {
    Objects.requireNonNull(segment, "segment");
    return new OfSegment(segment, rows, dimension, strideBytes);
  }

  /** Rows without padding in an array that is handed over. */
  static VectorBatch ofOwn(float[] values, int dimension) {
    return of(
        MemorySegment.ofArray(values),
        values.length / dimension,
        dimension,
        (long) dimension * Float.BYTES);
  }

  public final int size() {
    return size;
  }

  public final int dimension() {
    return dimension;
  }

  /** Bytes that all rows take without padding. */
  public final long byteSize() {
    return (long) size * dimension * Float.BYTES;
  }

  /**
   * Copies rows {@code first} to {@code first + count - 1} to the start of {@code to}, without
   * padding.
   *
   * @throws IndexOutOfBoundsException when there are no such rows, or {@code to} has no room
   */
  public final void copyTo(int first, int count, MemorySegment to) {
    Objects.checkFromIndexSize(first, count, size);
    long rowBytes = (long) dimension * Float.BYTES;
    Objects.checkFromIndexSize(0, count * rowBytes, to.byteSize());
    copyRows(first, count, to, rowBytes);
  }

  abstract void copyRows(int first, int count, MemorySegment to, long rowBytes);

  private static final class OfArrays extends VectorBatch {
    private final float[][] rows;

    OfArrays(float[][] rows, int dimension) {
      super(rows.length, dimension);
      this.rows = rows;
    }

    @Override
    void copyRows(int first, int count, MemorySegment to, long rowBytes) {
      for (int i = 0; i < count; i++) {
        MemorySegment.copy(
            rows[first + i], 0, to, ValueLayout.JAVA_FLOAT_UNALIGNED, i * rowBytes, dimension());
      }
    }
  }

  private static final class OfSegment extends VectorBatch {
    private final MemorySegment segment;
    private final long stride;

    OfSegment(MemorySegment segment, int rows, int dimension, long stride) {
      super(rows, dimension);
      long rowBytes = (long) dimension * Float.BYTES;
      if (stride < rowBytes) {
        throw new IllegalArgumentException(
            "VectorBatch.of: stride [%d] bytes, a row of %d floats needs %d"
                .formatted(stride, dimension, rowBytes));
      }
      // Divided rather than multiplied: a stride near 2^63 must not wrap around.
      if (segment.byteSize() < rowBytes || (segment.byteSize() - rowBytes) / stride < rows - 1) {
        throw new IllegalArgumentException(
            "VectorBatch.of: segment of [%d] bytes, %d rows of %d floats at a stride of %d do not fit"
                .formatted(segment.byteSize(), rows, dimension, stride));
      }
      this.segment = segment.asReadOnly();
      this.stride = stride;
    }

    @Override
    void copyRows(int first, int count, MemorySegment to, long rowBytes) {
      if (stride == rowBytes) {
        MemorySegment.copy(segment, first * stride, to, 0, count * rowBytes);
        return;
      }
      for (int i = 0; i < count; i++) {
        MemorySegment.copy(segment, (first + i) * stride, to, i * rowBytes, rowBytes);
      }
    }
  }
}
