// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.Accelerators;
import dev.nearfield.BackendKind;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.Encoding;
import dev.nearfield.Metric;
import dev.nearfield.NativeCallException;
import dev.nearfield.Properties;
import dev.nearfield.SearchTimeoutException;
import dev.nearfield.VectorBatch;
import dev.nearfield.internal.device.Backends;
import dev.nearfield.internal.engine.Engine.CallControl;
import dev.nearfield.internal.engine.Engine.IndexOptions;
import dev.nearfield.internal.engine.Engine.RowFilter;
import dev.nearfield.internal.engine.Engine.SearchCall;
import dev.nearfield.internal.load.NativeBuild;
import dev.nearfield.internal.natives.NativeEngine;
import dev.nearfield.internal.value.DeviceInfo;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CancellationException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The engine contract over every library: five rows on a line, so that each answer is plain to see.
 */
public class EngineTest {
  private static final CallControl NONE = CallControl.NONE;

  static List<String> libraries() {
    return List.of("planted", "cpu");
  }

  public static Engine open(String library) {
    try (Properties properties = new Properties()) {
      // Any kind will do as the slot to load a library by its path.
      properties.set("nearfield.native.cuda.path", NativeBuild.backend(library).toString());
      Backends.forget(BackendKind.CUDA);
      DeviceInfo device = (DeviceInfo) Accelerators.device("cuda");
      return NativeEngine.open(Backends.library(device), device);
    } finally {
      Backends.forget(BackendKind.CUDA);
    }
  }

  private static MemorySegment floats(float... values) {
    return MemorySegment.ofArray(values);
  }

  private static MemorySegment longs(long... values) {
    return MemorySegment.ofArray(values);
  }

  /** Rows (0,0) (1,0) (2,0) (3,0) (4,0). */
  private static EngineIndex line(Engine engine) {
    EngineIndex index = engine.createIndex(new IndexOptions(2, Metric.L2_SQUARED, 5, 0, 0), NONE);
    assertEquals(0, index.add(floats(0, 0, 1, 0, 2, 0), 3, NONE));
    assertEquals(3, index.add(floats(3, 0, 4, 0), 2, NONE));
    return index;
  }

  private record Found(long[] rows, float[] distances, int[] counts) {}

  private static Found search(
      EngineIndex index, int k, float within, RowFilter[] filters, float... queries) {
    int batch = queries.length / 2;
    Found found = new Found(new long[batch * k], new float[batch * k], new int[batch]);
    index.search(
        new SearchCall(
            floats(queries),
            batch,
            k,
            List.of(filters),
            null,
            within,
            longs(found.rows),
            floats(found.distances),
            MemorySegment.ofArray(found.counts)),
        NONE);
    return found;
  }

  @ParameterizedTest
  @MethodSource("libraries")
  void searchesInOrderWithTiesToTheLowerRow(String library) {
    try (Engine engine = open(library);
        EngineIndex index = line(engine)) {
      Found found = search(index, 3, Float.NaN, new RowFilter[0], 1.5f, 0, 4, 0);
      assertArrayEquals(new long[] {1, 2, 0, 4, 3, 2}, found.rows);
      assertArrayEquals(new float[] {.25f, .25f, 2.25f, 0, 1, 4}, found.distances);
      assertArrayEquals(new int[] {3, 3}, found.counts);
      found = search(index, 7, Float.NaN, new RowFilter[0], 0, 0);
      assertArrayEquals(new long[] {0, 1, 2, 3, 4, -1, -1}, found.rows);
      assertTrue(Float.isNaN(found.distances[5]) && Float.isNaN(found.distances[6]));
      assertArrayEquals(new int[] {5}, found.counts);
    }
  }

  @ParameterizedTest
  @MethodSource("libraries")
  void filtersAndLargestDistance(String library) {
    try (Engine engine = open(library);
        EngineIndex index = line(engine)) {
      RowFilter bits = new RowFilter.Bits(MemorySegment.ofArray(new int[] {0b10010}), 1);
      assertArrayEquals(
          new long[] {1, 4, -1}, search(index, 3, Float.NaN, new RowFilter[] {bits}, 0, 0).rows);
      RowFilter rows = new RowFilter.Rows(longs(2, 3), 2);
      assertArrayEquals(
          new long[] {2, 3, -1}, search(index, 3, Float.NaN, new RowFilter[] {rows}, 0, 0).rows);
      RowFilter none = new RowFilter.Rows(longs(), 0);
      assertArrayEquals(
          new int[] {0}, search(index, 3, Float.NaN, new RowFilter[] {none}, 0, 0).counts);
      // Inclusive.
      assertArrayEquals(new int[] {3}, search(index, 5, 4f, new RowFilter[0], 0, 0).counts);
      Found found = new Found(new long[3], new float[3], new int[3]);
      index.search(
          new SearchCall(
              floats(0, 0, 0, 0, 0, 0),
              3,
              1,
              List.of(bits, rows),
              MemorySegment.ofArray(new int[] {1, -1, 0}),
              Float.NaN,
              longs(found.rows),
              floats(found.distances),
              MemorySegment.ofArray(found.counts)),
          NONE);
      assertArrayEquals(new long[] {2, 0, 1}, found.rows);
    }
  }

  @ParameterizedTest
  @MethodSource("libraries")
  void replaceReadRemoveAndCompact(String library) {
    try (Engine engine = open(library);
        EngineIndex index = line(engine)) {
      index.replace(longs(3), 1, floats(9, 9), NONE);
      float[] read = new float[4];
      index.read(longs(4, 3), 2, floats(read), NONE);
      assertArrayEquals(new float[] {4, 0, 9, 9}, read);
      index.setLive(longs(0, 2), 2, false, NONE);
      EngineIndex.Info info = index.info();
      assertEquals(5, info.rows());
      assertEquals(3, info.liveRows());
      assertTrue(info.deviceBytes() > 0);
      assertEquals(1, search(index, 1, Float.NaN, new RowFilter[0], 0, 0).rows[0]);
      long[] newRow = new long[5];
      EngineIndex.CompactStep step = index.compactStep(longs(newRow), 2, 0, 0, NONE);
      assertEquals(new EngineIndex.CompactStep(0, 2, false), step);
      assertArrayEquals(new long[] {-1, 0}, Arrays.copyOf(newRow, 2));
      step = index.compactStep(longs(newRow), 5, 2, 0, NONE);
      assertEquals(new EngineIndex.CompactStep(2, 5, true), step);
      assertArrayEquals(new long[] {-1, 1, 2}, Arrays.copyOf(newRow, 3));
      assertEquals(3, index.info().rows());
      index.read(longs(1, 2), 2, floats(read), NONE);
      assertArrayEquals(new float[] {9, 9, 4, 0}, read);
      // Another compaction, of which the first knows nothing: all its numbers are given out again.
      step = new EngineIndex.CompactStep(0, 2, false);
      assertEquals(step, index.compactStep(longs(newRow), 2, 0, 0, NONE));
      step = new EngineIndex.CompactStep(0, 1, false);
      assertEquals(step, index.compactStep(longs(newRow), 1, 0, 0, NONE));
    }
  }

  @ParameterizedTest
  @MethodSource("libraries")
  void hiddenRowsAreFoundOnceTheyAreShown(String library) {
    try (Engine engine = open(library);
        EngineIndex index = line(engine)) {
      assertEquals(5, index.add(floats(0, 0.25f, 0, 0.5f), 2, true, NONE));
      assertEquals(7, index.info().rows());
      assertEquals(5, index.info().liveRows());
      RowFilter[] none = {};
      assertEquals(1, search(index, 2, Float.NaN, none, 0, 0).rows[1]);
      index.setLive(5, 2, true, NONE);
      assertEquals(5, search(index, 2, Float.NaN, none, 0, 0).rows[1]);
      index.setLive(4, 2, false, NONE);
      assertEquals(6, search(index, 2, Float.NaN, none, 0, 0).rows[1]);
      assertThrows(IllegalArgumentException.class, () -> index.setLive(5, 3, false, NONE));
      assertThrows(IllegalArgumentException.class, () -> index.setLive(-1, 3, false, NONE));
      assertEquals(5, index.info().liveRows());
    }
  }

  @ParameterizedTest
  @MethodSource("libraries")
  void knnOverNativeAndHeapMemory(String library) {
    float[] dataset = {0, 0, 3, 4, 1, 0};
    try (Engine engine = open(library);
        Arena arena = Arena.ofConfined()) {
      MemorySegment data = arena.allocateFrom(ValueLayout.JAVA_FLOAT, dataset);
      for (MemorySegment segment : List.of(data, floats(dataset))) {
        long[] rows = new long[2];
        float[] distances = new float[2];
        SearchCall call =
            new SearchCall(
                floats(3, 3),
                1,
                2,
                List.of(),
                null,
                Float.NaN,
                longs(rows),
                floats(distances),
                MemorySegment.ofArray(new int[1]));
        try (Engine.Knn knn = engine.knn(Metric.MANHATTAN, 2, 3, call)) {
          assertFalse(knn.step(segment.asSlice(0, 16), 2, 0, NONE));
          assertEquals(2, knn.position());
          assertTrue(knn.step(segment.asSlice(16), 1, 0, NONE));
        }
        assertArrayEquals(new long[] {1, 2}, rows);
        assertArrayEquals(new float[] {1, 5}, distances);
      }
    }
  }

  /** Between the steps of one search others are begun, done and given up. */
  @ParameterizedTest
  @MethodSource("libraries")
  void knnInSteps(String library) {
    int rows = 20_000;
    int batch = 300;
    float[] dataset = new float[rows];
    for (int i = 0; i < rows; i++) {
      dataset[i] = i % 1000;
    }
    float[] queries = new float[batch];
    for (int q = 0; q < batch; q++) {
      queries[q] = q;
    }
    long[] found = new long[2 * batch];
    SearchCall call =
        new SearchCall(
            floats(queries),
            batch,
            2,
            List.of(),
            null,
            Float.NaN,
            longs(found),
            floats(new float[2 * batch]),
            MemorySegment.ofArray(new int[batch]));
    try (Engine engine = open(library);
        Engine.Knn knn = engine.knn(Metric.L2_SQUARED, 1, rows, call)) {
      int steps = 1;
      while (!knn.step(
          floats(dataset).asSlice(knn.position() * Float.BYTES), rows - knn.position(), 1, NONE)) {
        steps++;
        try (Engine.Knn other = engine.knn(Metric.DOT, 1, rows, call)) {
          assertFalse(other.step(floats(dataset), 10, 1, NONE));
        }
        assertEquals(0, found[2], "written before the end");
      }
      assertTrue(steps > 3, steps + " steps"); // at most 128 queries meet the rows in one
      for (int q = 0; q < batch; q++) {
        assertEquals(q, found[2 * q]);
        assertEquals(q + 1000, found[2 * q + 1]);
      }
      Engine.Knn lost = engine.knn(Metric.DOT, 1, rows, call);
      assertFalse(lost.step(floats(dataset), 10, 1, NONE)); // the context frees it
    }
  }

  @ParameterizedTest
  @MethodSource("libraries")
  void mistakesAreTypedAndHarmless(String library) {
    try (Engine engine = open(library);
        EngineIndex index = line(engine)) {
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class, () -> index.add(floats(1, 2, 3, Float.NaN), 2, NONE));
      assertTrue(e.getMessage().contains("row 1, dimension 1"), e.getMessage());
      assertThrows(IndexOutOfBoundsException.class, () -> index.add(floats(1, 2, 3), 2, NONE));
      assertThrows(
          IllegalArgumentException.class, () -> index.read(longs(5), 1, floats(0, 0), NONE));
      assertThrows(
          IllegalArgumentException.class,
          () -> engine.createIndex(new IndexOptions(0, Metric.DOT, 0, 0, 0), NONE));
      assertEquals(5, index.info().rows());
    }
  }

  @ParameterizedTest
  @MethodSource("libraries")
  void cancelTimeOutAndMemoryLimit(String library) {
    try (Engine engine = open(library);
        EngineIndex index = line(engine);
        Arena arena = Arena.ofConfined()) {
      MemorySegment word = arena.allocateFrom(ValueLayout.JAVA_INT, 1);
      assertThrows(
          CancellationException.class, () -> index.add(floats(1, 1), 1, new CallControl(0, word)));
      assertThrows(
          SearchTimeoutException.class, () -> index.add(floats(1, 1), 1, new CallControl(1, null)));
      assertEquals(5, index.info().rows());
      DeviceOutOfMemoryException e =
          assertThrows(
              DeviceOutOfMemoryException.class,
              () -> {
                try (EngineIndex small =
                    engine.createIndex(new IndexOptions(1024, Metric.DOT, 0, 4096, 0), NONE)) {
                  small.add(MemorySegment.ofArray(new float[1024 * 64]), 64, NONE);
                }
              });
      assertTrue(e.getMessage().contains("4096"), e.getMessage());
      assertEquals(4096, e.total());
      assertEquals(4096, e.free());
      assertTrue(e.requested() >= 1024 * 64 * 4, () -> "requested " + e.requested());
    }
  }

  @ParameterizedTest
  @MethodSource("libraries")
  void everyMetricIsSupportedAndEstimated(String library) {
    try (Engine engine = open(library)) {
      for (Metric metric : Metric.values()) {
        assertTrue(engine.supports(metric), metric.name());
        Engine.Estimate estimate = engine.estimate(new IndexOptions(100, metric, 1000, 0, 0));
        assertTrue(estimate.bytes() >= 400_000, estimate.toString());
        assertTrue(estimate.peakBytes() >= estimate.bytes(), estimate.toString());
      }
    }
  }

  private static IndexOptions alone(int dim, Metric metric) {
    return new IndexOptions(dim, metric, 1000, 0, 0, Encoding.INT8_ONLY);
  }

  @ParameterizedTest
  @MethodSource("libraries")
  void codesAloneAreMadeWhereTheyAreSupported(String library) {
    try (Engine engine = open(library)) {
      for (Metric metric : Metric.values()) {
        boolean possible = engine.supportsCodesAlone(metric);
        boolean never = metric == Metric.MANHATTAN || metric == Metric.POINCARE;
        assertTrue(!possible || engine.supportsCodes(metric) && !never, metric.name());
        assertTrue(possible || never || !library.equals("cpu"), metric.name());
        if (possible) {
          engine.createIndex(alone(2, metric), NONE).close();
          long floats = engine.estimate(new IndexOptions(128, metric, 1000, 0, 0)).bytes();
          long codes = engine.estimate(alone(128, metric)).bytes();
          assertTrue(codes > floats / 4 && codes < floats * .4, codes + " of " + floats);
        } else {
          assertThrows(NativeCallException.class, () -> engine.createIndex(alone(2, metric), NONE));
        }
      }
    }
  }

  @Test
  void codesAloneAreFittedBeforeTheFirstAdd() {
    float[][] given = new float[64][2];
    for (int i = 0; i < given.length; i++) {
      given[i] = new float[] {100 + i, 200 - i};
    }
    VectorCheck check = new VectorCheck(Metric.DOT, 2, 0);
    FitSample sample = FitSample.of("test", VectorBatch.of(given), check);
    try (Engine engine = open("cpu");
        EngineIndex index = engine.createIndex(alone(2, Metric.DOT), NONE)) {
      EngineIndex.TrainStep step = new EngineIndex.TrainStep(0, false);
      while (!step.done()) {
        step = index.trainStep(sample, step.position(), 1, NONE);
      }
      index.add(floats(131.3f, 168.7f, 100, 200), 2, NONE);
      float[] read = new float[4];
      index.read(longs(0, 1), 2, MemorySegment.ofArray(read), NONE);
      // The rows lie on a line through the mean, half of its length from there, in 127 steps.
      assertEquals(131.3f, read[0], 45f / 127);
      assertEquals(200, read[3], 45f / 127);
      NativeCallException late =
          assertThrows(NativeCallException.class, () -> index.trainStep(sample, 0, 1, NONE));
      assertTrue(late.getMessage().contains("before the first add"), late.getMessage());
      assertEquals(2, index.info().rows());
    }
  }
}
