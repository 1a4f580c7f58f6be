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
import dev.nearfield.internal.engine.Engine.SearchCall;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.OwnerCall;
import dev.nearfield.internal.value.ExecutionInfo;
import dev.nearfield.internal.value.KnnColumns;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** One call of {@link Knn}. */
public final class KnnCall {
  /** The longest array that every JVM can allocate. */
  private static final int MAX_RESULTS = Integer.MAX_VALUE - 8;

  private KnnCall() {}

  /** {@code device} null: by policy. */
  public static KnnResult search(
      Metric metric, VectorBatch dataset, VectorBatch queries, int k, @Nullable Device device) {
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
    // Copied once, on this thread: the device never sees memory that the caller can free or change.
    try (Arena arena = Arena.ofShared()) {
      Job job = new Job(arena, metric, dataset, queries, stride);
      Acceleration policy = device == null ? Settings.acceleration() : Acceleration.PREFERRED;
      return IndexTargets.of(policy, device, null).first(job::on);
    }
  }

  private static MemorySegment staged(Arena arena, VectorBatch batch) {
    MemorySegment copy = arena.allocate(batch.byteSize(), 64); // a cache line
    batch.copyTo(0, batch.size(), copy);
    return copy;
  }

  /** One search in native memory, to be tried on one device after the other. */
  private static final class Job {
    private final Metric metric;
    private final int size;
    private final int dimension;
    private final int stride;
    private final MemorySegment dataset;
    private final SearchCall call;

    Job(Arena arena, Metric metric, VectorBatch dataset, VectorBatch queries, int stride) {
      this.metric = metric;
      this.size = dataset.size();
      this.dimension = dataset.dimension();
      this.stride = stride;
      this.dataset = staged(arena, dataset);
      int batch = queries.size();
      long results = (long) batch * stride;
      this.call =
          new SearchCall(
              staged(arena, queries),
              batch,
              stride,
              List.of(),
              null,
              Float.NaN,
              arena.allocate(ValueLayout.JAVA_LONG, results),
              arena.allocate(ValueLayout.JAVA_FLOAT, results),
              arena.allocate(ValueLayout.JAVA_INT, batch));
    }

    KnnResult on(Device device, Optional<FallbackReason> fallback) {
      long submitted = System.nanoTime();
      DeviceOwner owner = DeviceOwner.acquire(device, IndexTargets::open);
      try {
        Duration[] times = new Duration[2];
        OwnerCall.run(
            owner,
            "Knn.search",
            null,
            (engine, scratch, control) -> {
              long started = System.nanoTime();
              engine.knn(metric, dataset, size, dimension, call, control);
              times[0] = Duration.ofNanos(started - submitted);
              times[1] = Duration.ofNanos(System.nanoTime() - started);
              return true;
            });
        return new KnnColumns(
            metric,
            stride,
            call.counts().toArray(ValueLayout.JAVA_INT),
            call.rows().toArray(ValueLayout.JAVA_LONG),
            call.distances().toArray(ValueLayout.JAVA_FLOAT),
            new ExecutionInfo(device, call.batch(), call.batch(), times[0], times[1], fallback));
      } finally {
        owner.release();
      }
    }
  }
}
