// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.internal.index.BatchingTest;
import dev.nearfield.internal.index.IndexBuilder;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** An index with codes answers as one without, to the last bit, on every backend that has them. */
@Timeout(120)
class CodesTest {
  private static final int DIM = 48;
  private static final int ROWS = 3000;
  private static final int QUERIES = 12;

  static Stream<Arguments> cases() {
    return Embeddings.backends()
        .flatMap(
            kind ->
                Arrays.stream(Metric.values())
                    .filter(metric -> metric != Metric.MANHATTAN)
                    .map(metric -> Arguments.of(kind, metric)));
  }

  private final Embeddings data = new Embeddings(new Seed("CodesTest"), DIM, 0);

  private static AcceleratedVectorIndex build(
      TestBackend backend, Metric metric, Encoding encoding) {
    return ((IndexBuilder) backend.builder(DIM, metric, 512))
        .codedFrom(2 * ROWS)
        .encoding(encoding)
        .build();
  }

  private static TestBackend coded(BackendKind kind) {
    TestBackend backend = TestBackend.require(kind);
    try (AcceleratedVectorIndex index = build(backend, Metric.DOT, Encoding.AUTO)) {
      assertEquals(Encoding.INT8, index.placement().encoding(), kind.id());
    }
    return backend;
  }

  /** The answers of both, for the same vectors in the same order. */
  private void compare(
      AcceleratedVectorIndex floats, AcceleratedVectorIndex codes, float[][] queries, String when) {
    SearchResult expected = floats.search(Embeddings.request(queries).build());
    SearchResult got = codes.search(Embeddings.request(queries).build());
    data.assertSame(expected, got, when);
    data.assertSame(
        expected, codes.search(Embeddings.request(queries).exact(true).build()), when + ", exact");
    for (int q = 0; q < queries.length; q++) {
      assertTrue(got.certified(q) && got.execution().certified(q), when + ", query " + q);
      float[] one = queries[q];
      SearchResult alone = codes.search(Embeddings.request(one).build());
      SearchResult truth = floats.search(Embeddings.request(one).build());
      data.assertSame(truth, alone, when + ", alone");
      assertTrue(alone.rescored(0) <= codes.stats().live(), when);
      for (double bound : new double[] {1, 3, 1e6}) {
        SearchResult capped = codes.search(Embeddings.request(one).maxOversample(bound).build());
        assertEquals(Embeddings.K, capped.hitCount(0));
        if (capped.certified(0)) {
          data.assertSame(truth, capped, when + ", certified at " + bound);
        }
        assertTrue(bound < 1e6 || capped.certified(0), when + ": the bound is beyond all rows");
        assertTrue(
            capped.distance(0, 0) >= truth.distance(0, 0), when + ": nearer than the nearest");
      }
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void answersAreThoseOfFloats(BackendKind kind, Metric metric) throws Exception {
    TestBackend backend = coded(kind);
    float[][] queries = data.vectors(1, QUERIES, metric);
    try (AcceleratedVectorIndex floats = build(backend, metric, Encoding.F32);
        AcceleratedVectorIndex codes = build(backend, metric, Encoding.INT8)) {
      assertEquals(Encoding.INT8, codes.placement().encoding());
      assertEquals(0, floats.stats().codeBytes());
      float[][] first = data.vectors(2, ROWS, metric);
      VectorHandles both = codes.addAll(VectorBatch.of(first));
      VectorHandles same = floats.addAll(VectorBatch.of(first));
      compare(floats, codes, queries, "before the training");
      assertEquals(0, codes.stats().trainings());

      float[][] more = data.vectors(3, ROWS, metric);
      codes.addAll(VectorBatch.of(more));
      floats.addAll(VectorBatch.of(more));
      compare(floats, codes, queries, "around the training");
      BatchingTest.await(() -> codes.stats().trainings() == 1);
      compare(floats, codes, queries, "after the training");

      for (int i = 0; i < ROWS; i += 2) {
        codes.remove(both.get(i));
        floats.remove(same.get(i));
        if (i % 6 == 0) {
          float[] other = first[(i + 7) % ROWS];
          codes.replace(both.get(i + 1), other);
          floats.replace(same.get(i + 1), other);
        }
      }
      compare(floats, codes, queries, "after removals");
      codes.compact().get();
      floats.compact().get();
      compare(floats, codes, queries, "after a compaction");

      IndexStats stats = codes.stats();
      assertEquals(Encoding.INT8, stats.encoding());
      assertTrue(stats.codeBytes() > 0 && stats.codeBytes() < stats.deviceBytes() / 2, "" + stats);
      assertTrue(stats.certified() < stats.queries(), "a bound of k rows leaves doubts: " + stats);
      assertTrue(stats.certified() > stats.queries() / 2, "" + stats);
      assertTrue(stats.codesRead() > 0 && stats.codesRead() < 1, "rows are left out: " + stats);
      assertEquals(floats.stats().queries(), floats.stats().certified());
      assertTrue(Double.isNaN(floats.stats().codesRead()));
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"CPU", "CUDA", "WGPU"})
  void theBudgetCountsCodes(BackendKind kind) {
    TestBackend backend = coded(kind);
    // The rows, what stands beside each, and no more than a tenth for slabs that are not full.
    long budget = 20_000L * (DIM + 1) * Float.BYTES * 11 / 10;
    AcceleratedVectorIndex.Builder tight =
        backend.builder(DIM, Metric.DOT).expectedVectors(20_000).deviceMemoryBudget(budget);
    assertThrows(
        DeviceOutOfMemoryException.class, () -> tight.encoding(Encoding.INT8).build().close());
    try (AcceleratedVectorIndex index = tight.encoding(Encoding.AUTO).build()) {
      assertEquals(Encoding.F32, index.placement().encoding());
    }
  }

  @Test
  void plainJavaHasNone() {
    TestBackend java = TestBackend.require(BackendKind.JAVA);
    try (AcceleratedVectorIndex index = java.builder(2, Metric.DOT).build()) {
      assertEquals(Encoding.F32, index.placement().encoding());
      VectorHandle only = index.add(new float[] {1, 2});
      SearchResult result =
          index.search(
              SearchRequest.builder().query(new float[] {1, 1}).topK(1).maxOversample(1).build());
      assertEquals(only, result.hits(0).getFirst().handle());
      assertTrue(result.certified(0));
      assertEquals(0, result.rescored(0));
    }
    AcceleratedVectorIndex.Builder coded = java.builder(2, Metric.DOT).encoding(Encoding.INT8);
    assertTrue(
        assertThrows(BackendUnavailableException.class, coded::build)
            .getMessage()
            .startsWith("build: encoding [INT8] is not to be had on java:0"));
  }
}
