// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
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
 * #deviceSearch}, which is the same search on the same rows straight on the engine. In the package
 * of the API, for the engine is not public.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(
    value = 1,
    jvmArgsAppend = {"--enable-native-access=ALL-UNNAMED"})
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class CallBenchmark {
  private static final int K = 10;

  @Param("1000")
  int rows;

  @Param("128")
  int dim;

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
    Random random = new Random(1);
    float[][] vectors = new float[rows][dim];
    for (float[] row : vectors) {
      fill(random, row);
    }
    vector = new float[dim];
    fill(random, vector);
    request = SearchRequest.builder().query(vector).topK(K).build();
    index = AcceleratedVectorIndex.builder(dim, Metric.L2_SQUARED).backend(backend).build();
    replaced = index.addAll(VectorBatch.of(vectors)).get(0);
    openDevice(vectors);
  }

  private static void fill(Random random, float[] row) {
    for (int i = 0; i < row.length; i++) {
      row[i] = (float) random.nextGaussian();
    }
  }

  private void openDevice(float[][] vectors) {
    MemorySegment data = arena.allocate(ValueLayout.JAVA_FLOAT, (long) rows * dim);
    for (int i = 0; i < rows; i++) {
      MemorySegment.copy(
          vectors[i], 0, data, ValueLayout.JAVA_FLOAT, (long) i * dim * Float.BYTES, dim);
    }
    MemorySegment query = arena.allocate(ValueLayout.JAVA_FLOAT, dim);
    MemorySegment.copy(vector, 0, query, ValueLayout.JAVA_FLOAT, 0, dim);
    call =
        new Engine.SearchCall(
            query,
            1,
            K,
            List.of(),
            null,
            Float.NaN,
            arena.allocate(ValueLayout.JAVA_LONG, K),
            arena.allocate(ValueLayout.JAVA_FLOAT, K),
            arena.allocate(ValueLayout.JAVA_INT, 1));
    engine = IndexTargets.open(index.placement().device());
    device =
        engine.createIndex(
            new Engine.IndexOptions(dim, Metric.L2_SQUARED, rows, 0, 0), Engine.CallControl.NONE);
    device.add(data, rows, Engine.CallControl.NONE);
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
