// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.plain;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.Metric;
import dev.nearfield.SearchTimeoutException;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.engine.EngineTest;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The plain-Java backend against float64, and bit for bit against the CPU backend. */
@Timeout(120)
class JavaEngineTest {
  private static final Engine.CallControl NONE = Engine.CallControl.NONE;

  /** Where the four partial sums end, and more rows than a slab holds at 4,096 (256). */
  private static final int[][] SHAPES = {
    {1, 40}, {2, 100}, {3, 100}, {4, 33}, {5, 31}, {127, 300}, {4096, 600}
  };

  private record Answer(long[] rows, float[] distances, int[] counts) {}

  private static Answer search(
      EngineIndex index,
      float[] queries,
      int dim,
      int k,
      List<Engine.RowFilter> filters,
      float maxDistance) {
    int batch = queries.length / dim;
    Answer answer = new Answer(new long[batch * k], new float[batch * k], new int[batch]);
    index.search(
        new Engine.SearchCall(
            MemorySegment.ofArray(queries),
            batch,
            k,
            filters,
            null,
            maxDistance,
            MemorySegment.ofArray(answer.rows),
            MemorySegment.ofArray(answer.distances),
            MemorySegment.ofArray(answer.counts)),
        NONE);
    return answer;
  }

  private static float[] random(Random random, int count, int dim, Metric metric) {
    float[] values = new float[count * dim];
    for (int i = 0; i < values.length; i++) {
      float scale = metric == Metric.POINCARE ? (float) (0.9 / Math.sqrt(dim)) : 1;
      values[i] = (random.nextFloat() * 2 - 1) * scale + (metric == Metric.L2_SQUARED ? 10 : 0);
      if (values[i] == 0) {
        values[i] = scale / 2; // cosine: no zero vector at dimension 1
      }
    }
    return values;
  }

  private static double exact(Metric metric, float[] q, int qi, float[] v, int vi, int dim) {
    double l2 = 0;
    double l1 = 0;
    double dot = 0;
    double qq = 0;
    double vv = 0;
    for (int i = 0; i < dim; i++) {
      double a = q[qi + i];
      double b = v[vi + i];
      l2 += (a - b) * (a - b);
      l1 += Math.abs(a - b);
      dot += a * b;
      qq += a * a;
      vv += b * b;
    }
    return switch (metric) {
      case L2_SQUARED -> l2;
      case COSINE -> 1 - dot / Math.sqrt(qq * vv);
      case DOT -> -dot;
      case POINCARE -> {
        double x = 1 + 2 * l2 / ((1 - qq) * (1 - vv));
        yield Math.log(x + Math.sqrt(x * x - 1));
      }
      case MANHATTAN -> l1;
    };
  }

  /**
   * Rounding of a chain of dim/4 additions and a tree of two, of differences and of the side value,
   * each 2^-24, relative to the sum of magnitudes: dim/4 + 8 in all. Cosine: both vectors are
   * rounded to unit length, an absolute error of 4 units in a distance of at most 2. Poincaré:
   * relative in delta, so at most as much in the distance; acosh above loses 1e-8 absolute near 0.
   */
  private static double bound(
      Metric metric, double exact, float[] q, int qi, float[] v, int vi, int dim) {
    double unit = 0x1p-24 * (dim / 4 + 8);
    return switch (metric) {
      case L2_SQUARED, MANHATTAN -> unit * exact;
      case COSINE -> 4 * unit;
      case DOT -> {
        double magnitudes = 0;
        for (int i = 0; i < dim; i++) {
          magnitudes += Math.abs((double) q[qi + i] * v[vi + i]);
        }
        yield unit * magnitudes;
      }
      case POINCARE -> unit * exact + 1e-7;
    };
  }

  @ParameterizedTest
  @EnumSource
  void agreesWithFloat64AndBitForBitWithTheCpuBackend(Metric metric) {
    long seed = new Random().nextLong();
    System.out.println("JavaEngineTest.agreesWithFloat64 " + metric + ": seed " + seed);
    Random random = new Random(seed);
    try (Engine cpu = EngineTest.open("cpu");
        Engine java = new JavaEngine()) {
      for (int[] shape : SHAPES) {
        int dim = shape[0];
        int count = shape[1];
        int k = 9;
        float[] rows = random(random, count, dim, metric);
        System.arraycopy(rows, 0, rows, (count - 1) * dim, dim); // a tie
        float[] queries = random(random, 5, dim, metric);
        System.arraycopy(rows, 0, queries, 0, dim); // at distance 0
        Engine.IndexOptions options = new Engine.IndexOptions(dim, metric, 0, 0, 0);
        try (EngineIndex a = java.createIndex(options, NONE);
            EngineIndex b = cpu.createIndex(options, NONE)) {
          for (EngineIndex index : List.of(a, b)) {
            index.add(MemorySegment.ofArray(rows), count, NONE);
            index.setLive(MemorySegment.ofArray(new long[] {3, 7}), 2, false, NONE);
          }
          Answer ours = search(a, queries, dim, k, List.of(), Float.NaN);
          Answer theirs = search(b, queries, dim, k, List.of(), Float.NaN);
          String where = metric + " dim " + dim + " seed " + seed;
          assertArrayEquals(theirs.rows, ours.rows, where);
          assertArrayEquals(bits(theirs.distances), bits(ours.distances), where);
          assertArrayEquals(theirs.counts, ours.counts, where);
          check(metric, dim, count, k, rows, queries, ours, where);
        }
      }
    }
  }

  private static int[] bits(float[] values) {
    int[] bits = new int[values.length];
    for (int i = 0; i < values.length; i++) {
      bits[i] = Float.floatToRawIntBits(values[i]);
    }
    return bits;
  }

  private static void check(
      Metric metric,
      int dim,
      int count,
      int k,
      float[] rows,
      float[] queries,
      Answer answer,
      String where) {
    for (int q = 0; q < queries.length / dim; q++) {
      int qi = q * dim;
      double[] exact =
          IntStream.range(0, count)
              .mapToDouble(r -> exact(metric, queries, qi, rows, r * dim, dim))
              .toArray();
      int[] order =
          IntStream.range(0, count)
              .filter(r -> r != 3 && r != 7)
              .boxed()
              .sorted(Comparator.comparingDouble(r -> exact[r]))
              .mapToInt(r -> r)
              .toArray();
      assertEquals(Math.min(k, order.length), answer.counts[q], where);
      double last = exact[order[answer.counts[q] - 1]];
      for (int i = 0; i < answer.counts[q]; i++) {
        int row = (int) answer.rows[q * k + i];
        double bound = bound(metric, exact[row], queries, qi, rows, row * dim, dim);
        assertEquals(
            exact[row], answer.distances[q * k + i], bound, where + " query " + q + " row " + row);
        assertTrue(
            exact[row] <= last + 2 * bound, where + ": row " + row + " is not among the nearest");
        assertTrue(row != 3 && row != 7, where + ": dead row " + row);
      }
      if (q == 0 && metric != Metric.DOT) {
        assertEquals(0, answer.distances[0], where + ": a vector is at distance 0 of itself");
        assertEquals(0, answer.rows[0], where + ": ties go to the lower row");
        assertEquals(
            dim == 1 && metric == Metric.COSINE ? answer.rows[1] : count - 1,
            answer.rows[1],
            where);
      }
    }
  }

  private static EngineIndex line(int count) {
    float[] rows = new float[count];
    for (int i = 0; i < count; i++) {
      rows[i] = i;
    }
    EngineIndex index =
        new JavaEngine().createIndex(new Engine.IndexOptions(1, Metric.L2_SQUARED, 0, 0, 0), NONE);
    index.add(MemorySegment.ofArray(rows), count, NONE);
    return index;
  }

  @Test
  void filtersLimitsAndMissingResults() {
    try (EngineIndex index = line(100)) {
      float[] zero = {0};
      Engine.RowFilter list =
          new Engine.RowFilter.Rows(MemorySegment.ofArray(new long[] {5, 50}), 2);
      Answer some = search(index, zero, 1, 3, List.of(list), Float.NaN);
      assertArrayEquals(new long[] {5, 50, -1}, some.rows);
      assertEquals(2, some.counts[0]);
      assertTrue(Float.isNaN(some.distances[2]));
      Engine.RowFilter word =
          new Engine.RowFilter.Bits(MemorySegment.ofArray(new int[] {1 << 31}), 1);
      assertArrayEquals(
          new long[] {31, -1},
          search(index, zero, 1, 2, List.of(word), Float.NaN).rows,
          "rows past the end are excluded");
      Engine.RowFilter none = new Engine.RowFilter.Rows(MemorySegment.ofArray(new long[0]), 0);
      assertEquals(0, search(index, zero, 1, 2, List.of(none), Float.NaN).counts[0]);
      assertArrayEquals(
          new long[] {0, 1, 2, -1}, search(index, zero, 1, 4, List.of(), 4).rows, "4 is within 4");
      assertEquals(100, search(index, zero, 1, 500, List.of(), Float.NaN).counts[0]);
      assertThrows(
          IllegalArgumentException.class, () -> search(index, zero, 1, 0, List.of(), Float.NaN));
      Engine.RowFilter beyond =
          new Engine.RowFilter.Rows(MemorySegment.ofArray(new long[] {100}), 1);
      assertThrows(
          IllegalArgumentException.class,
          () -> search(index, zero, 1, 1, List.of(beyond), Float.NaN));
    }
  }

  @Test
  void aBadVectorLeavesTheIndexAsItWas() {
    try (EngineIndex index = line(3)) {
      float[] bad = {1, 2, Float.NaN};
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class, () -> index.add(MemorySegment.ofArray(bad), 3, NONE));
      assertTrue(e.getMessage().contains("vector [2]"), e.getMessage());
      long[] rows = {0, 1};
      assertThrows(
          IllegalArgumentException.class,
          () ->
              index.replace(
                  MemorySegment.ofArray(rows),
                  2,
                  MemorySegment.ofArray(new float[] {9, Float.NaN}),
                  NONE));
      long[] unknown = {0, 3};
      assertThrows(
          IllegalArgumentException.class,
          () -> index.setLive(MemorySegment.ofArray(unknown), 2, false, NONE));
      assertEquals(3, index.info().rows());
      assertEquals(3, index.info().liveRows());
      assertArrayEquals(
          new long[] {0, 1, 2}, search(index, new float[] {0}, 1, 3, List.of(), Float.NaN).rows);
    }
  }

  @Test
  void memoryIsWhatTheEstimateSaid() {
    Engine engine = new JavaEngine();
    for (int dim : new int[] {1, 100, 65_536}) {
      for (int count : new int[] {1, 33, 100}) {
        Engine.IndexOptions options = new Engine.IndexOptions(dim, Metric.DOT, count, 0, 0);
        try (EngineIndex index = engine.createIndex(options, NONE)) {
          index.add(MemorySegment.ofArray(new float[count * dim]), count, NONE);
          assertEquals(engine.estimate(options).bytes(), index.info().deviceBytes());
        }
      }
    }
    Engine.IndexOptions small = new Engine.IndexOptions(1, Metric.DOT, 0, 1000, 0);
    try (EngineIndex index = engine.createIndex(small, NONE)) {
      DeviceOutOfMemoryException e =
          assertThrows(
              DeviceOutOfMemoryException.class,
              () -> index.add(MemorySegment.ofArray(new float[10]), 10, NONE));
      assertEquals(1000, e.total());
      assertEquals(0, index.info().rows());
    }
  }

  @Test
  void compactionFollowsChangesBetweenItsSteps() {
    long seed = new Random().nextLong();
    System.out.println("JavaEngineTest.compactionFollowsChanges: seed " + seed);
    Random random = new Random(seed);
    for (int round = 0; round < 20; round++) {
      int count = 300 + random.nextInt(1500);
      try (EngineIndex index = line(count)) {
        boolean[] live = new boolean[count];
        float[] value = new float[count];
        Arrays.fill(live, true);
        for (int i = 0; i < count; i++) {
          value[i] = i;
        }
        long[] newRow = new long[count];
        long[] passed = new long[400];
        int position = 0;
        boolean done = false;
        while (!done) {
          for (int change = 0; change < 20; change++) {
            int row = random.nextInt(count);
            MemorySegment number = MemorySegment.ofArray(new long[] {row});
            if (random.nextInt(3) == 0) {
              value[row] = random.nextInt(count);
              index.replace(number, 1, MemorySegment.ofArray(new float[] {value[row]}), NONE);
            } else {
              int end = Math.min(count, row + 1 + random.nextInt(70));
              boolean on = random.nextInt(60) == 0; // now and then dead rows come back
              if (random.nextBoolean()) {
                Arrays.fill(live, row, end, on);
                index.setLive(row, end - row, on, NONE);
              } else {
                live[row] = on;
                index.setLive(number, 1, on, NONE);
              }
            }
          }
          int window = 1 + random.nextInt(400);
          EngineIndex.CompactStep step =
              index.compactStep(
                  MemorySegment.ofArray(passed), window, position, random.nextInt(2), NONE);
          assertTrue(step.first() == position || step.first() == 0, "seed " + seed);
          int rows = (int) (step.end() - step.first());
          assertTrue(rows <= window, "seed " + seed);
          System.arraycopy(passed, 0, newRow, (int) step.first(), rows);
          position = (int) step.end();
          done = step.done();
          assertEquals(done, position == count, "seed " + seed);
        }
        int next = 0;
        for (int row = 0; row < count; row++) {
          assertFalse(live[row] && newRow[row] < 0, "a live row was dropped, seed " + seed);
          if (newRow[row] >= 0) {
            assertEquals(next++, newRow[row], "order is kept, seed " + seed);
            float[] read = new float[1];
            index.read(
                MemorySegment.ofArray(new long[] {newRow[row]}),
                1,
                MemorySegment.ofArray(read),
                NONE);
            assertEquals(value[row], read[0], "seed " + seed);
          }
        }
        assertEquals(next, index.info().rows());
        int alive = 0;
        for (boolean one : live) {
          alive += one ? 1 : 0;
        }
        assertEquals(alive, index.info().liveRows(), "seed " + seed);
      }
    }
  }

  @Test
  void knnIsASearchOverAMatrix() {
    float[] rows = {0, 0, 3, 4, 1, 0};
    float[] query = {0, 0};
    Answer answer = new Answer(new long[4], new float[4], new int[1]);
    Engine.SearchCall call =
        new Engine.SearchCall(
            MemorySegment.ofArray(query),
            1,
            4,
            List.of(),
            null,
            Float.NaN,
            MemorySegment.ofArray(answer.rows),
            MemorySegment.ofArray(answer.distances),
            MemorySegment.ofArray(answer.counts));
    MemorySegment dataset = MemorySegment.ofArray(rows);
    assertTrue(new JavaEngine().knn(Metric.L2_SQUARED, 2, 3, call).step(dataset, 3, 0, NONE));
    assertArrayEquals(new long[] {0, 2, 1, -1}, answer.rows);
    assertEquals(25, answer.distances[2]);
    assertEquals(3, answer.counts[0]);
    assertThrows(
        SearchTimeoutException.class,
        () ->
            new JavaEngine()
                .knn(Metric.L2_SQUARED, 2, 3, call)
                .step(dataset, 3, 0, new Engine.CallControl(1, null)));
  }
}
