// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Mistakes of the caller: each a typed error in one sentence, and an index that works as before.
 */
class MisuseTest {
  private static final int DIM = 4;

  /** An index of three vectors that must still be there, and nothing else, at the end. */
  private static final class Unharmed implements AutoCloseable {
    final AcceleratedVectorIndex index;
    final VectorHandles handles;
    private final float[][] vectors = {
      {0.5f, 0, 0, 0}, {0, 0.5f, 0, 0}, {0, 0, 0.5f, 0},
    };

    Unharmed(AcceleratedVectorIndex.Builder builder) {
      index = builder.build();
      handles = index.addAll(VectorBatch.of(vectors));
    }

    @Override
    public void close() {
      try (index) {
        assertEquals(3, index.stats().live());
        SearchResult result =
            index.search(
                SearchRequest.builder().query(new float[] {0, 0.25f, 0, 0}).topK(9).build());
        assertEquals(3, result.hitCount(0));
        assertEquals(handles.get(1), result.hits(0).getFirst().handle());
        for (int i = 0; i < vectors.length; i++) {
          assertArrayEquals(vectors[i], index.get(handles.get(i)).orElseThrow().vector());
        }
      }
    }
  }

  private static Unharmed unharmed(BackendKind kind, Metric metric) {
    return new Unharmed(TestBackend.require(kind).builder(DIM, metric));
  }

  private static <T extends Throwable> T refused(Class<T> type, Executable call, String... parts) {
    T refusal = assertThrows(type, call);
    assertEquals(type, refusal.getClass());
    String message = refusal.getMessage();
    assertNotNull(message);
    assertEquals(1, message.lines().count(), message);
    for (String part : parts) {
      assertTrue(message.contains(part), () -> "[" + message + "] lacks [" + part + "]");
    }
    return refusal;
  }

  private static SearchRequest request(float... query) {
    return SearchRequest.builder().query(query).topK(2).build();
  }

  @ParameterizedTest
  @EnumSource(
      value = BackendKind.class,
      names = {"JAVA", "CPU", "WGPU", "CUDA"})
  void wrongDimensions(BackendKind kind) {
    try (Unharmed harmless = unharmed(kind, Metric.L2_SQUARED)) {
      AcceleratedVectorIndex index = harmless.index;
      VectorHandle handle = harmless.handles.get(0);
      float[] five = new float[5];
      Class<IllegalArgumentException> type = IllegalArgumentException.class;
      refused(type, () -> index.add(five), "add", "[5]", "4");
      refused(type, () -> index.add(new float[0]), "add", "[0]", "4");
      refused(type, () -> index.addAll(VectorBatch.of(new float[][] {five})), "[5]", "4");
      refused(type, () -> index.replace(handle, five), "replace", "[5]", "4");
      refused(type, () -> index.search(request(five)), "search", "[5]", "4");
      refused(type, () -> index.searchAsync(request(five)), "search", "[5]", "4");
    }
  }

  @ParameterizedTest
  @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
  void notFinite(float bad) {
    try (Unharmed harmless = unharmed(BackendKind.JAVA, Metric.L2_SQUARED)) {
      AcceleratedVectorIndex index = harmless.index;
      float[] good = {1, 2, 3, 4};
      float[] vector = {1, 2, bad, 4};
      String value = "[" + bad + "]";
      Class<IllegalArgumentException> type = IllegalArgumentException.class;
      refused(type, () -> index.add(vector), "add", value, "[2]");
      refused(
          type,
          () -> index.addAll(VectorBatch.of(new float[][] {good, good, vector})),
          "[2]",
          value,
          "dimension [2]");
      refused(type, () -> index.replace(harmless.handles.get(0), vector), value, "[2]");
      refused(type, () -> request(vector), value, "[2]");
      refused(
          type,
          () ->
              SearchRequest.builder()
                  .queries(VectorBatch.of(new float[][] {good, vector}))
                  .topK(1)
                  .build(),
          "query [1]",
          value,
          "[2]");
      refused(type, () -> SearchRequest.builder().maxDistance(Float.NaN), "maxDistance", "NaN");
      refused(type, () -> SearchRequest.builder().minScore(Float.NaN), "minScore", "NaN");
    }
  }

  /** A batch that takes several chunks to the device: its first ones must be undone. */
  @ParameterizedTest
  @EnumSource(
      value = BackendKind.class,
      names = {"JAVA", "CPU", "WGPU", "CUDA"})
  void oneBadVectorRefusesALargeBatch(BackendKind kind) {
    int dim = 1024;
    int rows = 3000; // 12 MB, several chunks
    try (AcceleratedVectorIndex index =
            TestBackend.require(kind).builder(dim, Metric.L2_SQUARED).build();
        Arena arena = Arena.ofConfined()) {
      VectorHandle handle = index.add(new float[dim]);
      MemorySegment segment = arena.allocate(4L * dim * rows, 4);
      segment.setAtIndex(
          java.lang.foreign.ValueLayout.JAVA_FLOAT, (rows - 1L) * dim + 7, Float.NaN);
      refused(
          IllegalArgumentException.class,
          () -> index.addAll(VectorBatch.of(segment, rows, dim, 4L * dim)),
          "[2999]",
          "[NaN]",
          "dimension [7]");
      assertEquals(1, index.stats().live());
      SearchResult all =
          index.search(SearchRequest.builder().query(new float[dim]).topK(10).build());
      assertEquals(1, all.hitCount(0));
      assertEquals(handle.bits(), all.handleBits(0, 0));
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = BackendKind.class,
      names = {"JAVA", "CPU", "WGPU", "CUDA"})
  void zeroVectorsUnderCosine(BackendKind kind) {
    try (Unharmed harmless = unharmed(kind, Metric.COSINE)) {
      AcceleratedVectorIndex index = harmless.index;
      Class<IllegalArgumentException> type = IllegalArgumentException.class;
      refused(type, () -> index.add(new float[DIM]), "add", "[0.0]", "COSINE");
      refused(type, () -> index.search(request(0, 0, 0, 0)), "search", "[0.0]", "COSINE");
      refused(type, () -> index.replace(harmless.handles.get(0), new float[DIM]), "[0.0]");
      refused(
          type,
          () -> index.addAll(VectorBatch.of(new float[][] {{1, 0, 0, 0}, {0, -0.0f, 0, 0}})),
          "[1]",
          "[0.0]");
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = BackendKind.class,
      names = {"JAVA", "CPU", "WGPU", "CUDA"})
  void pointsOutsideTheBall(BackendKind kind) {
    try (Unharmed harmless = unharmed(kind, Metric.POINCARE)) {
      AcceleratedVectorIndex index = harmless.index;
      Class<IllegalArgumentException> type = IllegalArgumentException.class;
      refused(type, () -> index.add(new float[] {1, 0, 0, 0}), "add", "[1.0]", "0.99999");
      refused(type, () -> index.add(new float[] {0.999995f, 0, 0, 0}), "add", "0.99999");
      refused(type, () -> index.search(request(0, 2, 0, 0)), "search", "[2.0]", "0.99999");
    }
    refused(
        IllegalArgumentException.class,
        () -> TestBackend.require(kind).builder(DIM, Metric.POINCARE).poincareMaxNorm(1).build(),
        "[1.0]");
  }

  @Test
  void sizesAndLimits() {
    Class<IllegalArgumentException> type = IllegalArgumentException.class;
    refused(type, () -> AcceleratedVectorIndex.builder(0, Metric.DOT), "[0]", "1");
    refused(type, () -> AcceleratedVectorIndex.builder(-3, Metric.DOT), "[-3]", "1");
    for (int k : new int[] {0, -1, Integer.MIN_VALUE}) {
      refused(
          type,
          () -> SearchRequest.builder().query(new float[DIM]).topK(k).build(),
          "[" + k + "]",
          "1");
    }
    refused(type, () -> SearchRequest.builder().topK(1).build(), "[0] queries");
    refused(type, () -> SearchRequest.builder().query(new float[0]), "[0]", "1");
    refused(type, () -> SearchRequest.builder().timeout(Duration.ZERO), "[PT0S]");
    refused(type, () -> SearchRequest.builder().timeout(Duration.ofMillis(-1)), "-");
    refused(type, () -> VectorBatch.of(new float[0][]), "[0] rows");
    refused(type, () -> BackendKind.of("vulkan"), "[vulkan]", "cuda", "java");
    AcceleratedVectorIndex.Builder builder =
        AcceleratedVectorIndex.builder(DIM, Metric.DOT).backend(BackendKind.JAVA);
    refused(type, () -> builder.mailbox(0, Duration.ofSeconds(1)), "[0]");
    refused(type, () -> builder.mailbox(1, Duration.ofSeconds(-1)), "-");
    refused(type, () -> builder.batching(0, Duration.ZERO), "[0]");
    refused(type, () -> builder.deviceMemoryBudget(0), "[0]");
    refused(type, () -> builder.expectedVectors(-1), "[-1]");
    refused(type, () -> builder.autoCompaction(0), "[0.0]");
    refused(type, () -> builder.autoCompaction(Double.NaN), "[NaN]");
  }

  @Test
  void kMayExceedTheVectors() {
    try (Unharmed harmless = unharmed(BackendKind.JAVA, Metric.DOT)) {
      SearchRequest request =
          SearchRequest.builder().query(new float[] {1, 0, 0, 0}).topK(Integer.MAX_VALUE).build();
      assertEquals(3, harmless.index.search(request).hitCount(0));
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = BackendKind.class,
      names = {"JAVA", "CPU", "WGPU", "CUDA"})
  void noRows(BackendKind kind) {
    try (AcceleratedVectorIndex index =
        TestBackend.require(kind).builder(DIM, Metric.L2_SQUARED).build()) {
      assertEquals(0, index.search(request(1, 2, 3, 4)).hitCount(0));
      VectorHandle handle = index.add(new float[] {1, 2, 3, 4});
      assertTrue(index.remove(handle));
      assertEquals(0, index.search(request(1, 2, 3, 4)).hitCount(0));
      index.compact().join();
      assertEquals(0, index.search(request(1, 2, 3, 4)).hitCount(0));
      assertEquals(0, index.removeAll(VectorHandles.of(List.of())));
      assertEquals(0, index.stats().live());
    }
  }

  @Test
  void nulls() {
    try (Unharmed harmless = unharmed(BackendKind.JAVA, Metric.DOT)) {
      AcceleratedVectorIndex index = harmless.index;
      VectorHandle handle = harmless.handles.get(0);
      Class<NullPointerException> type = NullPointerException.class;
      for (Executable call :
          List.<Executable>of(
              () -> index.add(null),
              () -> index.addAll(null),
              () -> index.remove(null),
              () -> index.removeAll(null),
              () -> index.removeIf(null),
              () -> index.replace(null, new float[DIM]),
              () -> index.replace(handle, null),
              () -> index.get(null),
              () -> index.search(null),
              () -> index.searchAsync(null),
              () -> index.close(null),
              () -> SearchRequest.builder().query(null),
              () -> SearchRequest.builder().queries(null),
              () -> VectorBatch.of((float[][]) null),
              () -> VectorBatch.of(new float[][] {null}),
              () -> VectorBatch.of(new float[][] {{1}, null}),
              () -> AcceleratedVectorIndex.builder(DIM, null))) {
        assertThrows(type, call);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = BackendKind.class,
      names = {"JAVA", "CPU", "WGPU", "CUDA"})
  void staleForeignAndInventedHandles(BackendKind kind) {
    try (Unharmed harmless = unharmed(kind, Metric.L2_SQUARED);
        AcceleratedVectorIndex other =
            TestBackend.require(kind).builder(DIM, Metric.L2_SQUARED).build()) {
      AcceleratedVectorIndex index = harmless.index;
      VectorHandle stale = index.add(new float[DIM]);
      assertTrue(index.remove(stale));
      assertFalse(index.remove(stale));
      assertTrue(index.get(stale).isEmpty());
      assertTrue(index.replace(stale, new float[DIM]).isEmpty());
      assertEquals(0, index.removeAll(VectorHandles.of(List.of(stale, stale))));

      VectorHandle live = harmless.handles.get(0);
      for (VectorHandle never :
          List.of(
              new VectorHandle(live.bits() + 1), // a generation to come
              new VectorHandle(live.bits() + (1L << 40)), // a slot to come
              new VectorHandle(-1),
              new VectorHandle(0),
              other.add(new float[DIM]))) {
        Class<IllegalArgumentException> type = IllegalArgumentException.class;
        refused(type, () -> index.remove(never), "remove", never.toString());
        refused(type, () -> index.get(never), "get", never.toString());
        refused(type, () -> index.replace(never, new float[DIM]), "replace", never.toString());
        // All or nothing: the live one stays.
        refused(type, () -> index.removeAll(VectorHandles.of(List.of(live, never))), "removeAll");
        SearchRequest within =
            SearchRequest.builder()
                .query(new float[DIM])
                .topK(5)
                .filter(HandleSet.of(Set.of(never)))
                .build();
        refused(type, () -> index.search(within), "search", never.toString());
      }
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = BackendKind.class,
      names = {"JAVA", "CPU", "WGPU", "CUDA"})
  void aBudgetTooSmall(BackendKind kind) {
    int budget = 32 << 20; // more than the first slab and the workspace of any backend
    AcceleratedVectorIndex.Builder builder =
        TestBackend.require(kind).builder(DIM, Metric.L2_SQUARED).deviceMemoryBudget(budget);
    try (Unharmed harmless = new Unharmed(builder);
        Arena arena = Arena.ofConfined()) {
      int rows = 2 * budget / (4 * DIM);
      MemorySegment many = arena.allocate(4L * DIM * rows, 4);
      DeviceOutOfMemoryException refusal =
          refused(
              DeviceOutOfMemoryException.class,
              () -> harmless.index.addAll(VectorBatch.of(many, rows, DIM, 4L * DIM)),
              "addAll",
              "[" + rows + "]",
              String.valueOf(budget));
      assertEquals(ErrorCode.DEVICE_OOM, refusal.code());
      assertTrue(refusal.requested() > budget, () -> "" + refusal.requested());
    }
    refused(
        DeviceOutOfMemoryException.class,
        () -> {
          try (AcceleratedVectorIndex never = builder.expectedVectors(1 << 22).build()) {
            assertNotNull(never);
          }
        },
        String.valueOf(budget));
  }

  @ParameterizedTest
  @EnumSource(
      value = BackendKind.class,
      names = {"JAVA", "CPU", "WGPU", "CUDA"})
  void aClosedIndex(BackendKind kind) throws InterruptedException {
    AcceleratedVectorIndex index =
        TestBackend.require(kind).builder(DIM, Metric.L2_SQUARED).build();
    VectorHandle handle = index.add(new float[DIM]);
    assertTrue(index.close(Duration.ofSeconds(10)));
    index.close();
    assertTrue(index.close(Duration.ZERO));
    Class<IndexClosedException> type = IndexClosedException.class;
    refused(type, () -> index.add(new float[DIM]), "add", "closed");
    refused(type, () -> index.addAll(VectorBatch.of(new float[2][DIM])), "addAll", "closed");
    refused(type, () -> index.remove(handle), "remove", "closed");
    refused(type, () -> index.removeAll(VectorHandles.of(List.of(handle))), "closed");
    refused(type, () -> index.removeIf(any -> true), "removeIf", "closed");
    refused(type, () -> index.replace(handle, new float[DIM]), "replace", "closed");
    refused(type, () -> index.get(handle), "get", "closed");
    refused(type, () -> index.search(request(1, 2, 3, 4)), "search", "closed");
    assertEquals(kind, index.placement().backend());
    assertTrue(index.stats().live() >= 0);
  }
}
