// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.BackendKind;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.StoredVector;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandle;
import dev.nearfield.internal.device.IndexTargets;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineIndex;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What one call of the Java API costs beside the device call in it: {@link #search} against {@link
 * #deviceSearch}, which is the same search on the same rows straight on the engine, which only the
 * class path gives access to.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class CallBenchmark {
  private static final int K = 10;

  @Param("1000")
  int rows;

  @Param("128")
  int dim;

  @Param("1")
  int batch;

  @Param("CPU")
  BackendKind backend;

  private AcceleratedVectorIndex index;
  private SearchRequest request;
  private float[] vector;
  private VectorHandle replaced;

  private Engine engine;
  private EngineIndex device;
  private Engine.SearchCall call;
  private final Arena arena = Arena.ofShared();

  @Setup(Level.Trial)
  public void open() {
    MemorySegment queries = random(arena, batch, 1);
    request =
        SearchRequest.builder()
            .queries(VectorBatch.of(queries, batch, dim, (long) dim * Float.BYTES))
            .topK(K)
            .build();
    vector = queries.asSlice(0, (long) dim * Float.BYTES).toArray(ValueLayout.JAVA_FLOAT);
    index =
        AcceleratedVectorIndex.builder(dim, Metric.L2_SQUARED)
            .backend(backend)
            .expectedVectors(rows)
            .build();
    engine = IndexTargets.open(index.placement().device());
    device =
        engine.createIndex(
            new Engine.IndexOptions(dim, Metric.L2_SQUARED, rows, 0, 0), Engine.CallControl.NONE);
    try (Arena filling = Arena.ofShared()) {
      MemorySegment data = random(filling, rows, 2);
      replaced = index.addAll(VectorBatch.of(data, rows, dim, (long) dim * Float.BYTES)).get(0);
      device.add(data, rows, Engine.CallControl.NONE);
    }
    call =
        new Engine.SearchCall(
            queries,
            batch,
            K,
            List.of(),
            null,
            Float.NaN,
            arena.allocate(ValueLayout.JAVA_LONG, (long) batch * K),
            arena.allocate(ValueLayout.JAVA_FLOAT, (long) batch * K),
            arena.allocate(ValueLayout.JAVA_INT, batch));
  }

  private MemorySegment random(Arena arena, int count, long seed) {
    long floats = (long) count * dim;
    MemorySegment values = arena.allocate(ValueLayout.JAVA_FLOAT, floats);
    RandomGenerator random = new SplittableRandom(seed);
    for (long i = 0; i < floats; i++) {
      values.setAtIndex(ValueLayout.JAVA_FLOAT, i, random.nextFloat() - 0.5f);
    }
    return values;
  }

  @TearDown(Level.Trial)
  public void close() {
    device.close();
    engine.close();
    index.close();
    arena.close();
  }

  @Benchmark
  public MemorySegment deviceSearch() {
    device.search(call, Engine.CallControl.NONE);
    return call.rows();
  }

  @Benchmark
  public SearchResult search() {
    return index.search(request);
  }

  @Benchmark
  public SearchResult searchAsync() {
    return index.searchAsync(request).join();
  }

  /** One of each, so that the index stays as it is. */
  @Benchmark
  public boolean addAndRemove() {
    return index.remove(index.add(vector));
  }

  @Benchmark
  public VectorHandle replace() {
    replaced = index.replace(replaced, vector).orElseThrow();
    return replaced;
  }

  @Benchmark
  public StoredVector get() {
    return index.get(replaced).orElseThrow();
  }
}
