// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineTest;
import dev.nearfield.internal.index.IndexBuilder;
import dev.nearfield.internal.plain.JavaEngine;
import dev.nearfield.internal.table.HandleBits;
import dev.nearfield.internal.table.SlotTable;
import dev.nearfield.internal.value.HitInfo;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The whole API, over plain Java, the CPU backend and the slow one that kernels-test plants faults
 * in (none here).
 */
@Timeout(60)
@ParameterizedClass
@ValueSource(strings = {"java", "cpu", "planted"})
class FlatIndexTest {
  private static final int DIM = 3;

  private final String library;
  private final AcceleratedVectorIndex index;

  FlatIndexTest(String library) {
    this.library = library;
    this.index = builder(library, DIM, Metric.L2_SQUARED).autoCompaction(1).build();
  }

  static IndexBuilder builder(String library, int dim, Metric metric) {
    Engine engine = library.equals("java") ? new JavaEngine() : EngineTest.open(library);
    return new IndexBuilder(dim, metric).engine(engine);
  }

  @AfterEach
  void close() {
    index.close();
  }

  private static SearchRequest.Builder nearest(int k, float... query) {
    return SearchRequest.builder().query(query).topK(k);
  }

  @Test
  void findsTheNearestInOrder() {
    VectorHandle far = index.add(new float[] {3, 0, 0});
    VectorHandle near = index.add(new float[] {1, 0, 0});
    SearchResult result = index.search(nearest(5, 0, 0, 0).build());
    assertEquals(1, result.queryCount());
    assertEquals(List.of(new HitInfo(near, 1, 0.5f), new HitInfo(far, 9, 0.1f)), result.hits(0));
    assertEquals(index.placement().device(), result.execution().device());
    assertEquals(Optional.empty(), result.execution().fallback());
    assertTrue(result.execution().certified(0));
    assertThrows(IndexOutOfBoundsException.class, () -> result.distance(0, 2));
    assertThrows(IndexOutOfBoundsException.class, () -> result.hitCount(1));
  }

  @Test
  void anEmptyIndexAnswersNothing() {
    SearchResult result = index.search(nearest(5, 0, 0, 0).build());
    assertEquals(0, result.hitCount(0));
    VectorHandle gone = index.add(new float[] {1, 0, 0});
    index.remove(gone);
    assertEquals(0, index.search(nearest(5, 0, 0, 0).build()).hitCount(0));
  }

  @Test
  void handlesGoStale() {
    VectorHandle first = index.add(new float[] {1, 0, 0});
    assertArrayEquals(new float[] {1, 0, 0}, index.get(first).orElseThrow().vector());
    VectorHandle second = index.replace(first, new float[] {2, 0, 0}).orElseThrow();
    assertEquals(Optional.empty(), index.get(first));
    assertEquals(Optional.empty(), index.replace(first, new float[] {5, 0, 0}));
    assertFalse(index.remove(first));
    assertEquals(4, index.search(nearest(1, 0, 0, 0).build()).distance(0, 0));
    assertTrue(index.remove(second));
    assertFalse(index.remove(second));
    VectorHandle unknown = new VectorHandle(second.bits() + 5);
    assertThrows(IllegalArgumentException.class, () -> index.remove(unknown));
    assertThrows(IllegalArgumentException.class, () -> index.get(unknown));
    assertThrows(
        IllegalArgumentException.class,
        () -> index.search(nearest(1, 0, 0, 0).filter(HandleSet.of(unknown.bits())).build()));
  }

  @Test
  void limitsAreInclusive() {
    index.add(new float[] {1, 0, 0});
    index.add(new float[] {2, 0, 0});
    assertEquals(1, index.search(nearest(9, 0, 0, 0).maxDistance(1).build()).hitCount(0));
    assertEquals(2, index.search(nearest(9, 0, 0, 0).minScore(0.2f).build()).hitCount(0));
    assertEquals(1, index.search(nearest(9, 0, 0, 0).minScore(0.21f).build()).hitCount(0));
  }

  @Test
  void filtersByHandlesAndByPredicate() {
    VectorHandles all = index.addAll(VectorBatch.of(numbers(100)));
    HandleSet odd =
        HandleSet.of(all)
            .filter(bits -> index.get(new VectorHandle(bits)).orElseThrow().vector()[0] % 2 == 1);
    assertEquals(50, odd.size());
    SearchResult hits = index.search(nearest(100, 0, 0, 0).filter(odd).build());
    assertEquals(50, hits.hitCount(0));
    assertEquals(1, hits.distance(0, 0));
    SearchResult one =
        index.search(nearest(100, 0, 0, 0).filter(odd).filter(h -> h.equals(all.get(7))).build());
    assertEquals(List.of(all.get(7)), one.hits(0).stream().map(Hit::handle).toList());
    assertEquals(0, index.search(nearest(9, 0, 0, 0).filter(h -> false).build()).hitCount(0));
    index.remove(all.get(7));
    VectorHandle reused = index.add(new float[] {0, 0, 0});
    assertEquals(49, index.search(nearest(100, 0, 0, 0).filter(odd).build()).hitCount(0));
    index.replace(all.get(1), new float[] {0, 0, 0});
    assertEquals(48, index.search(nearest(100, 0, 0, 0).filter(odd).build()).hitCount(0));
    assertThrows(
        IllegalStateException.class,
        () ->
            index.search(
                nearest(1, 0, 0, 0)
                    .filter(
                        h -> {
                          throw new IllegalStateException("from the predicate");
                        })
                    .build()));
    assertTrue(index.get(reused).isPresent());
  }

  private static float[][] numbers(int count) {
    float[][] rows = new float[count][];
    for (int i = 0; i < count; i++) {
      rows[i] = new float[] {i, 0, 0};
    }
    return rows;
  }

  @Test
  void compactionKeepsHandlesAndOrder() throws Exception {
    VectorHandles all = index.addAll(VectorBatch.of(numbers(1000)));
    assertEquals(500, index.removeIf(h -> index.get(h).orElseThrow().vector()[0] % 2 == 0));
    assertEquals(500, index.stats().deleted());
    CompactionReport report = index.compact().get(10, TimeUnit.SECONDS);
    assertEquals(500, report.reclaimed());
    assertEquals(500, report.moved());
    assertEquals(0, index.stats().deleted());
    assertEquals(500, index.stats().live());
    assertEquals(1000, index.stats().slots());
    assertEquals(1, index.stats().compactions());
    for (int i = 0; i < 1000; i++) {
      Optional<StoredVector> stored = index.get(all.get(i));
      assertEquals(i % 2 == 1, stored.isPresent());
      if (stored.isPresent()) {
        assertEquals(i, stored.get().vector()[0]);
      }
    }
    SearchResult hits = index.search(nearest(1000, 0, 0, 0).build());
    assertEquals(500, hits.hitCount(0));
    assertEquals(all.get(1), hits.hits(0).getFirst().handle());
    VectorHandles again = index.addAll(VectorBatch.of(numbers(500)));
    assertEquals(1000, index.stats().slots());
    assertEquals(
        HandleBits.slot(all.bits(0)),
        HandleBits.slot(again.bits(0)),
        "free slots are reused first in, first out");
  }

  @Test
  void largeInsertsAreChunkedAndAtomic() throws Exception {
    float[][] rows = numbers(SlotTable.STEP * 2 + 7);
    rows[rows.length - 1][2] = Float.NaN;
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> index.addAll(VectorBatch.of(rows)));
    assertTrue(e.getMessage().contains("[" + (rows.length - 1) + "]"), e.getMessage());
    assertEquals(0, index.stats().live());
    assertEquals(0, index.search(nearest(10, 0, 0, 0).build()).hitCount(0));
    rows[rows.length - 1][2] = 0;
    VectorHandles handles = index.addAll(VectorBatch.of(rows));
    assertEquals(rows.length, index.stats().live());
    assertEquals(rows.length, index.stats().slots(), "those of the refused batch are used again");
    index.compact().get(20, TimeUnit.SECONDS);
    assertEquals(0, index.stats().deleted());
    for (int i = 0; i < rows.length; i += 1009) {
      assertEquals(i, index.get(handles.get(i)).orElseThrow().vector()[0]);
    }
  }

  @Test
  void manyQueriesAreAnsweredInSlices() {
    try (AcceleratedVectorIndex small =
        builder(library, DIM, Metric.L2_SQUARED).batching(7, Duration.ZERO).build()) {
      small.addAll(VectorBatch.of(numbers(50)));
      SearchResult result =
          small.search(
              SearchRequest.builder().queries(VectorBatch.of(numbers(50))).topK(2).build());
      for (int q = 0; q < 50; q++) {
        assertEquals(0, result.distance(q, 0));
        assertEquals(1, result.distance(q, 1));
      }
      assertEquals(7, result.execution().batchSize());
      assertEquals(50, small.stats().queries());
    }
  }

  @Test
  void randomOperationsAgreeWithAList() {
    long seed = new Random().nextLong();
    System.out.println("FlatIndexTest.randomOperationsAgreeWithAList: seed " + seed);
    Random random = new Random(seed);
    List<VectorHandle> handles = new ArrayList<>();
    List<float[]> vectors = new ArrayList<>();
    for (int step = 0; step < 2000; step++) {
      int choice = random.nextInt(10);
      if (choice < 5 || handles.isEmpty()) {
        float[] v = {random.nextInt(4), random.nextInt(4), random.nextInt(4)};
        handles.add(index.add(v));
        vectors.add(v);
      } else if (choice < 7) {
        int i = random.nextInt(handles.size());
        assertTrue(index.remove(handles.remove(i)));
        vectors.remove(i);
      } else if (choice == 7) {
        int i = random.nextInt(handles.size());
        float[] v = {random.nextInt(4), random.nextInt(4), random.nextInt(4)};
        handles.set(i, index.replace(handles.get(i), v).orElseThrow());
        vectors.set(i, v);
      } else if (choice == 8 && random.nextInt(20) == 0) {
        index.compact().join();
      } else {
        float[] q = {random.nextInt(4), random.nextInt(4), random.nextInt(4)};
        int k = 1 + random.nextInt(handles.size() + 2);
        List<Integer> order = new ArrayList<>();
        for (int i = 0; i < vectors.size(); i++) {
          order.add(i);
        }
        order.sort( // stable: ties in the order of insertion
            java.util.Comparator.comparingDouble(i -> distance(q, vectors.get(i))));
        List<VectorHandle> expected = order.stream().limit(k).map(handles::get).toList();
        List<VectorHandle> actual =
            index.search(SearchRequest.builder().query(q).topK(k).build()).hits(0).stream()
                .map(Hit::handle)
                .toList();
        assertEquals(expected, actual, "seed " + seed + " step " + step);
      }
    }
  }

  private static double distance(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (a[i] - b[i]) * (a[i] - b[i]);
    }
    return sum;
  }
}
