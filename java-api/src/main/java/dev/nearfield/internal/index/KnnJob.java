// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.Acceleration;
import dev.nearfield.Device;
import dev.nearfield.FallbackReason;
import dev.nearfield.Knn;
import dev.nearfield.KnnResult;
import dev.nearfield.Metric;
import dev.nearfield.VectorBatch;
import dev.nearfield.internal.device.IndexTargets;
import dev.nearfield.internal.device.Settings;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.Engine.SearchCall;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.OnDevice;
import dev.nearfield.internal.turn.Request;
import dev.nearfield.internal.turn.StackRoom;
import dev.nearfield.internal.value.ExecutionInfo;
import dev.nearfield.internal.value.KnnColumns;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.BitSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What one call of {@link Knn} asks for, with the native memory of its queries and answers, to be
 * tried on one device after the other.
 */
public final class KnnJob {
  /** The longest array that every JVM can allocate. */
  private static final int MAX_RESULTS = Integer.MAX_VALUE - 8;

  private final Metric metric;
  private final int stride;
  private final SearchCall call;
  private final VectorBatch dataset;
  private final MemorySegment[] buffers;

  private KnnJob(
      Arena arena,
      Metric metric,
      VectorBatch dataset,
      VectorBatch queries,
      int stride,
      long pieceBytes) {
    this.metric = metric;
    this.dataset = dataset;
    this.stride = stride;
    this.buffers = KnnPieces.buffers(arena, dataset, pieceBytes);
    int batch = queries.size();
    long results = (long) batch * stride;
    MemorySegment copy = arena.allocate(queries.byteSize(), KnnPieces.ALIGNMENT);
    queries.copyTo(0, batch, copy);
    this.call =
        new SearchCall(
            copy,
            batch,
            stride,
            List.of(),
            null,
            Float.NaN,
            arena.allocate(ValueLayout.JAVA_LONG, results),
            arena.allocate(ValueLayout.JAVA_FLOAT, results),
            arena.allocate(ValueLayout.JAVA_INT, batch));
  }

  /** {@code device} null: by policy; {@code timeout} null: none. */
  public static KnnResult search(
      Metric metric,
      VectorBatch dataset,
      VectorBatch queries,
      int k,
      @Nullable Device device,
      @Nullable Duration timeout) {
    if (timeout != null) {
      Timeouts.positive("Knn.search", timeout);
    }
    StackRoom.require();
    long begin = System.nanoTime();
    return with(
        metric,
        dataset,
        queries,
        k,
        KnnPieces.MAX_BYTES,
        job -> {
          Acceleration policy = device == null ? Settings.acceleration() : Acceleration.PREFERRED;
          return IndexTargets.of(policy, device, null)
              .first(
                  (target, fallback, cause) ->
                      OnDevice.use(
                          target,
                          IndexTargets::open,
                          owner -> {
                            try {
                              return job.on(owner, target, fallback, left(timeout, begin));
                            } finally {
                              owner.release();
                            }
                          }));
        });
  }

  private static @Nullable Duration left(@Nullable Duration timeout, long begin) {
    if (timeout == null) {
      return null;
    }
    long spent = System.nanoTime() - begin;
    return Duration.ofNanos(Math.max(0, Request.saturatedNanos(timeout) - spent));
  }

  interface Use {
    KnnResult with(KnnJob job);
  }

  /** Checks the request and frees the memory afterwards. */
  static KnnResult with(
      Metric metric, VectorBatch dataset, VectorBatch queries, int k, long pieceBytes, Use use) {
    Objects.requireNonNull(metric, "metric");
    if (queries.dimension() != dataset.dimension()) {
      throw new IllegalArgumentException(
          "Knn.search: queries have dimension [%d], the dataset has %d"
              .formatted(queries.dimension(), dataset.dimension()));
    }
    if (k < 1) {
      throw new IllegalArgumentException("Knn.search: k [" + k + "], at least 1 is needed");
    }
    int stride = Math.min(k, dataset.size());
    if ((long) stride * queries.size() > MAX_RESULTS) {
      throw new IllegalArgumentException(
          "Knn.search: [%d] queries with %d results each, at most %d results fit one answer"
              .formatted(queries.size(), stride, MAX_RESULTS));
    }
    try (Arena arena = Arena.ofShared()) {
      return use.with(new KnnJob(arena, metric, dataset, queries, stride, pieceBytes));
    }
  }

  KnnResult on(
      DeviceOwner owner,
      Device device,
      Optional<FallbackReason> fallback,
      @Nullable Duration timeout) {
    KnnCall.Times times = KnnCall.run(owner, this, timeout);
    return new KnnColumns(
        metric,
        stride,
        call.counts().toArray(ValueLayout.JAVA_INT),
        call.rows().toArray(ValueLayout.JAVA_LONG),
        call.distances().toArray(ValueLayout.JAVA_FLOAT),
        new ExecutionInfo(
            device,
            call.batch(),
            new BitSet(), // all rows are looked at
            call.batch(),
            times.queued(),
            times.executed(),
            fallback));
  }

  /** For one device: the dataset from its beginning. */
  KnnPieces newPieces() {
    return new KnnPieces(dataset, buffers);
  }

  /** In a turn. */
  Engine.Knn begin(Engine engine) {
    return engine.knn(metric, dataset.dimension(), dataset.size(), call);
  }

  long rowsIn(MemorySegment piece) {
    return piece.byteSize() / Float.BYTES / dataset.dimension();
  }
}
