// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.Acceleration;
import dev.nearfield.Metric;
import dev.nearfield.VectorBatch;
import dev.nearfield.internal.device.DeviceChoice;
import dev.nearfield.internal.device.IndexTargets;
import dev.nearfield.internal.engine.Engine.QuantizeCall;
import dev.nearfield.internal.engine.VectorCheck;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.OnDevice;
import dev.nearfield.internal.turn.OwnerCall;
import dev.nearfield.internal.turn.StackRoom;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/** Vectors made smaller, a piece after the other, each in a turn of its own. */
public final class QuantizeJob {
  /** A piece takes a few milliseconds of a processor, less than a turn. */
  private static final int PIECE_FLOATS = 1 << 20;

  private final String operation;
  private final VectorBatch vectors;
  private final boolean int8;
  private final MemorySegment codes;
  private final @Nullable MemorySegment scales;
  private final @Nullable MemorySegment errors;

  private QuantizeJob(
      String operation,
      VectorBatch vectors,
      boolean int8,
      MemorySegment codes,
      @Nullable MemorySegment scales,
      @Nullable MemorySegment errors) {
    this.operation = operation;
    this.vectors = vectors;
    this.int8 = int8;
    this.codes = codes;
    this.scales = scales;
    this.errors = errors;
    checkRoom("codes", codes, codeBytes(vectors.size()));
    checkRoom("scales", scales, (long) vectors.size() * Float.BYTES);
    checkRoom("errors", errors, (long) vectors.size() * Float.BYTES);
  }

  public static void int8(
      VectorBatch vectors,
      MemorySegment codes,
      MemorySegment scales,
      @Nullable MemorySegment errors) {
    new QuantizeJob("Quantizer.int8", vectors, true, codes, scales, errors).run();
  }

  public static void bfloat16(
      VectorBatch vectors, MemorySegment codes, @Nullable MemorySegment errors) {
    new QuantizeJob("Quantizer.bfloat16", vectors, false, codes, null, errors).run();
  }

  private void checkRoom(String name, @Nullable MemorySegment segment, long bytes) {
    if (segment != null && (segment.byteSize() < bytes || segment.isReadOnly())) {
      throw new IllegalArgumentException(
          "%s: %s of [%d] bytes%s, %d vectors of %d floats need %d that can be written"
              .formatted(
                  operation,
                  name,
                  segment.byteSize(),
                  segment.isReadOnly() ? ", read-only" : "",
                  vectors.size(),
                  vectors.dimension(),
                  bytes));
    }
  }

  private long codeBytes(long rows) {
    return rows * vectors.dimension() * (int8 ? Byte.BYTES : Short.BYTES);
  }

  private void run() {
    StackRoom.require();
    OnDevice.use(
        DeviceChoice.of(Acceleration.DISABLED).device(),
        IndexTargets::open,
        owner -> {
          try {
            on(owner);
            return owner;
          } finally {
            owner.release();
          }
        });
  }

  /** On one device; its owner is not released. */
  private void on(DeviceOwner owner) {
    int dim = vectors.dimension();
    int rows = Math.min(vectors.size(), Math.max(1, PIECE_FLOATS / dim));
    VectorCheck check = new VectorCheck(Metric.L2_SQUARED, dim, 0);
    float[] floats = new float[rows * dim];
    try (Arena arena = Arena.ofShared()) { // for the thread of the owner
      MemorySegment piece = arena.allocate(ValueLayout.JAVA_FLOAT, floats.length);
      MemorySegment small = arena.allocate(codeBytes(rows), KnnPieces.ALIGNMENT);
      MemorySegment scale = scales == null ? null : arena.allocate(ValueLayout.JAVA_FLOAT, rows);
      MemorySegment error = errors == null ? null : arena.allocate(ValueLayout.JAVA_FLOAT, rows);
      for (int first = 0; first < vectors.size(); first += rows) {
        int count = Math.min(rows, vectors.size() - first);
        vectors.copyTo(first, count, MemorySegment.ofArray(floats));
        check.checkAll(operation, "vector", first, floats, count); // by its number in the whole
        MemorySegment.copy(floats, 0, piece, ValueLayout.JAVA_FLOAT, 0, count * dim);
        QuantizeCall call = new QuantizeCall(piece, count, dim, int8, small, scale, error);
        OwnerCall.run(
            owner,
            operation,
            null,
            (engine, scratch, control) -> {
              engine.quantize(call, control);
              return call;
            });
        MemorySegment.copy(small, 0, codes, codeBytes(first), codeBytes(count));
        copyOut(scale, scales, first, count);
        copyOut(error, errors, first, count);
      }
    }
  }

  private static void copyOut(
      @Nullable MemorySegment from, @Nullable MemorySegment to, int first, int count) {
    if (from != null && to != null) {
      MemorySegment.copy(from, 0, to, (long) first * Float.BYTES, (long) count * Float.BYTES);
    }
  }
}
