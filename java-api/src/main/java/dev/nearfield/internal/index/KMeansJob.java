// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.Acceleration;
import dev.nearfield.Device;
import dev.nearfield.FallbackReason;
import dev.nearfield.KMeans;
import dev.nearfield.KMeansResult;
import dev.nearfield.Metric;
import dev.nearfield.VectorBatch;
import dev.nearfield.internal.device.IndexTargets;
import dev.nearfield.internal.device.Settings;
import dev.nearfield.internal.engine.Engine.KMeansRequest;
import dev.nearfield.internal.engine.VectorCheck;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.OnDevice;
import dev.nearfield.internal.turn.Request;
import dev.nearfield.internal.turn.StackRoom;
import dev.nearfield.internal.value.ExecutionInfo;
import dev.nearfield.internal.value.KMeansColumns;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.BitSet;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What one {@link KMeans} asks for, to be tried on one device after the other. */
public record KMeansJob(
    Metric metric,
    VectorBatch vectors,
    int clusters,
    int iterations,
    int sample,
    long seed,
    boolean balanced,
    float @Nullable [] weights,
    @Nullable VectorBatch start,
    KMeans.@Nullable ProgressListener listener) {
  private static final String OPERATION = "KMeans.run";

  /** {@code device} null: by policy; {@code timeout} null: none. */
  public KMeansResult run(@Nullable Device device, @Nullable Duration timeout) {
    StackRoom.require();
    long begin = System.nanoTime();
    try (Arena arena = Arena.ofShared()) { // for the thread of the owner
      MemorySegment copy = arena.allocate(vectors.byteSize(), KnnPieces.ALIGNMENT);
      vectors.copyTo(0, vectors.size(), copy);
      MemorySegment counts =
          weights == null ? null : arena.allocateFrom(ValueLayout.JAVA_FLOAT, weights);
      Acceleration policy = device == null ? Settings.acceleration() : Acceleration.PREFERRED;
      return IndexTargets.of(policy, device, null)
          .first(
              (target, fallback, cause) ->
                  OnDevice.use(
                      target,
                      IndexTargets::open,
                      owner -> {
                        try (Arena outputs = Arena.ofShared()) {
                          KMeansRequest request = request(outputs, copy, counts);
                          return on(owner, request, target, fallback, left(timeout, begin));
                        } finally {
                          owner.release();
                        }
                      }));
    }
  }

  private static @Nullable Duration left(@Nullable Duration timeout, long begin) {
    if (timeout == null) {
      return null;
    }
    long spent = System.nanoTime() - begin;
    return Duration.ofNanos(Math.max(0, Request.saturatedNanos(timeout) - spent));
  }

  /** For one device: a start is written over. */
  private KMeansRequest request(Arena arena, MemorySegment copy, @Nullable MemorySegment counts) {
    int dim = vectors.dimension();
    MemorySegment centroids =
        arena.allocate((long) clusters * dim * Float.BYTES, KnnPieces.ALIGNMENT);
    if (start != null) {
      float[] values = new float[Math.multiplyExact(clusters, dim)];
      start.copyTo(0, clusters, MemorySegment.ofArray(values));
      new VectorCheck(metric, dim, 0).checkAll(OPERATION, "start", 0, values, clusters);
      MemorySegment.copy(values, 0, centroids, ValueLayout.JAVA_FLOAT, 0, values.length);
    }
    return new KMeansRequest(
        metric,
        copy,
        vectors.size(),
        dim,
        counts,
        clusters,
        iterations,
        start != null,
        balanced,
        sample,
        seed,
        centroids,
        arena.allocate(ValueLayout.JAVA_INT, vectors.size()),
        arena.allocate(ValueLayout.JAVA_DOUBLE));
  }

  private KMeansResult on(
      DeviceOwner owner,
      KMeansRequest request,
      Device device,
      Optional<FallbackReason> fallback,
      @Nullable Duration timeout) {
    KMeansCall.Times times = KMeansCall.run(owner, OPERATION, request, listener, timeout);
    return new KMeansColumns(
        request.dim(),
        request.centroids().toArray(ValueLayout.JAVA_FLOAT),
        request.labels().toArray(ValueLayout.JAVA_INT),
        request.inertia().get(ValueLayout.JAVA_DOUBLE, 0),
        new ExecutionInfo(
            device,
            vectors.size(),
            new BitSet(), // all centroids are looked at
            vectors.size(),
            times.queued(),
            times.executed(),
            fallback));
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return this == other;
  }

  @Override
  public int hashCode() {
    return System.identityHashCode(this);
  }
}
