// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.internal.device.IndexTargets;
import dev.nearfield.internal.index.IndexBuilder;
import dev.nearfield.internal.move.Elsewhere;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.turn.DeviceOwner;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What an index of codes alone has room for, how long its vectors may be, and what it refuses. */
@Timeout(120)
class CodesAloneLimitsTest {
  private static final int DIM = 40;

  private final Seed seed = new Seed("CodesAloneLimitsTest");
  private final Embeddings data = new Embeddings(seed, DIM, 2);

  @ParameterizedTest
  @EnumSource(names = {"CPU", "CUDA", "WGPU"})
  void memoryIsAThird(BackendKind kind) {
    TestBackend backend = TestBackend.require(kind);
    int dim = 128;
    int rows = 1 << 15;
    float[][] vectors = new float[rows][dim];
    Random random = seed.random(7);
    for (float[] vector : vectors) {
      for (int d = 0; d < dim; d++) {
        vector[d] = (float) random.nextGaussian();
      }
    }
    long[] bytes = new long[2];
    for (int alone = 0; alone < 2; alone++) {
      AcceleratedVectorIndex.Builder builder = backend.builder(dim, Metric.L2_SQUARED);
      builder.expectedVectors(rows);
      try (AcceleratedVectorIndex index =
          alone == 1
              ? CodesAloneTest.built(kind, builder)
              : builder.encoding(Encoding.F32).build()) {
        index.addAll(VectorBatch.of(vectors));
        try (AcceleratedVectorIndex none = backend.builder(dim, Metric.L2_SQUARED).build()) {
          // Without the workspace, which they share.
          bytes[alone] = index.stats().deviceBytes() - none.stats().deviceBytes();
        }
        assertTrue(alone == 0 || index.stats().codeBytes() > (long) rows * dim);
      }
    }
    double share = (double) bytes[1] / bytes[0];
    assertTrue(share > .28 && share < .33, share + " of " + bytes[0] + " bytes");
    // Room for the codes, and not for the floats.
    long budget = (long) rows * dim * Float.BYTES / 3;
    AcceleratedVectorIndex.Builder tight = backend.builder(dim, Metric.L2_SQUARED);
    tight.expectedVectors(rows).deviceMemoryBudget(budget);
    assertThrows(
        DeviceOutOfMemoryException.class, () -> tight.encoding(Encoding.F32).build().close());
    try (AcceleratedVectorIndex index = CodesAloneTest.built(kind, tight)) {
      assertEquals(Encoding.INT8_ONLY, index.placement().encoding());
      VectorBatch half = VectorBatch.of(Arrays.copyOf(vectors, rows / 2));
      index.addAll(half);
      index.addAll(half);
      assertThrows(DeviceOutOfMemoryException.class, () -> index.addAll(half));
      assertEquals(rows, index.stats().live());
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"CPU", "CUDA", "WGPU"})
  void whatItCannotDoIsRefused(BackendKind kind) {
    TestBackend backend = TestBackend.require(kind);
    try (AcceleratedVectorIndex index =
        CodesAloneTest.built(kind, backend.builder(2, Metric.DOT))) {
      VectorHandle handle = index.add(new float[] {1, 2});
      float[] huge = {0x1p48f, 0x1p28f};
      for (IllegalArgumentException e :
          List.of(
              assertThrows(IllegalArgumentException.class, () -> index.add(huge)),
              assertThrows(IllegalArgumentException.class, () -> index.replace(handle, huge)),
              assertThrows(
                  IllegalArgumentException.class,
                  () -> index.addAll(VectorBatch.of(new float[][] {huge}))))) {
        assertTrue(e.getMessage().contains("INT8_ONLY allows at most " + 0x1p48), e.getMessage());
      }
      VectorHandle longest = index.add(new float[] {0x1p48f, 0});
      assertEquals(0x1p48f, CodesAloneTest.given(index, longest)[0], 0x1p40f);
      SearchResult far = index.search(Embeddings.request(new float[] {0x1p60f, 0}).build());
      assertEquals(longest, far.hits(0).getFirst().handle(), "queries may be longer");
      SearchRequest exact = Embeddings.request(new float[] {1, 0}).exact(true).build();
      IllegalArgumentException e =
          assertThrows(IllegalArgumentException.class, () -> index.search(exact));
      assertTrue(e.getMessage().startsWith("search: exact [true]"), e.getMessage());
      assertThrows(IllegalArgumentException.class, () -> index.searchAsync(exact));
    }
    try (AcceleratedVectorIndex index =
        CodesAloneTest.built(kind, backend.builder(2, Metric.COSINE))) {
      VectorHandle longer = index.add(new float[] {0x1p55f, 0}); // its length is not kept
      assertEquals(1, CodesAloneTest.given(index, longer)[0], 0x1p-8);
    }
  }

  /** To another owner of the processors. */
  private record OtherOwner(IndexConfig config) implements Elsewhere {
    @Override
    public Destination better(Placement now) {
      DeviceOwner owner = DeviceOwner.of(IndexTargets.open(now.device()));
      return new Destination(owner, now, config);
    }

    @Override
    public boolean hasRoomier(Placement now) {
      return false;
    }

    @Override
    public @Nullable Destination roomier(Placement now) {
      return null;
    }
  }

  /** Codes may stand for longer vectors than the longest that are taken. */
  @Test
  void whatTheLongestBecomeCanMove() throws Exception {
    TestBackend.require(BackendKind.CPU);
    IndexConfig config =
        new IndexConfig(
            DIM,
            Metric.DOT,
            new IndexSpec.Flat(Encoding.INT8_ONLY),
            null,
            1,
            0,
            0,
            0,
            64,
            0,
            64,
            0,
            1,
            null);
    IndexBuilder builder =
        new IndexBuilder(DIM, Metric.DOT)
            .encoding(Encoding.INT8_ONLY)
            .engine(IndexTargets.open(Accelerators.device("cpu")))
            .elsewhere(new OtherOwner(config));
    float[][] longest = data.vectors(10, 100, Metric.DOT);
    for (float[] vector : longest) {
      double to =
          0x1p48
              * (1 - 0x1p-20)
              / CodesAloneTest.length(vector, new float[DIM]); // rounded by 2^-24
      for (int d = 0; d < DIM; d++) {
        vector[d] = (float) (vector[d] * to);
      }
    }
    try (AcceleratedVectorIndex index = builder.build()) {
      VectorHandles handles = index.addAll(VectorBatch.of(longest));
      double most = 0;
      for (int i = 0; i < longest.length; i++) {
        most =
            Math.max(
                most,
                CodesAloneTest.length(CodesAloneTest.given(index, handles.get(i)), new float[DIM]));
      }
      assertTrue(most > 0x1p48, most + ", " + seed);
      for (int move = 0; move < 3; move++) {
        float[] before = CodesAloneTest.given(index, handles.get(0));
        index.retryAcceleration().get();
        assertArrayEquals(before, CodesAloneTest.given(index, handles.get(0)), 0x1p42f);
      }
    }
  }
}
