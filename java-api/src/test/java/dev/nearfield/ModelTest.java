// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import dev.nearfield.internal.table.SlotTable;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Random operations on an index against a list of vectors in 64 bits. */
class ModelTest {
  /** Long enough that vectors come, go, are compacted away and come again. */
  private static final int LENGTH = 120;

  /** A failing sequence is run again for every operation that might be dropped from it. */
  private static final int SHRINK_ATTEMPTS = 400;

  @ParameterizedTest
  @EnumSource(
      value = BackendKind.class,
      names = {"JAVA", "CPU", "WGPU", "CUDA"})
  void agreesWithAMap(BackendKind kind) {
    TestBackend backend = TestBackend.require(kind);
    Seed seed = new Seed("ModelTest#agreesWithAMap");
    for (Metric metric : Metric.values()) {
      for (int round = 0; round < backend.rounds(2); round++) {
        Random random = seed.random(metric.ordinal() * 1000 + round);
        // 1 to 3 for the borders of a 4-float chunk, larger ones for whole chunks.
        int dim = round % 2 == 0 ? 1 + random.nextInt(5) : 1 + random.nextInt(70);
        List<ModelOp> ops = ModelOp.sequence(random, metric, dim, LENGTH);
        int stepRows = round % 2 == 0 ? 1 + random.nextInt(24) : SlotTable.STEP;
        check(new Case(backend, metric, dim, stepRows, IndexSpec.flat()), ops, seed);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = BackendKind.class,
      names = {"JAVA", "CPU", "WGPU", "CUDA"})
  void listsAgreeWithAMap(BackendKind kind) {
    TestBackend backend = TestBackend.require(kind);
    Seed seed = new Seed("ModelTest#listsAgreeWithAMap");
    for (Metric metric : Metric.values()) {
      for (int round = 0; round < backend.rounds(2); round++) {
        Random random = seed.random(metric.ordinal() * 1000 + round);
        int dim = round % 2 == 0 ? 1 + random.nextInt(5) : 1 + random.nextInt(70);
        List<ModelOp> ops = ModelOp.sequence(random, metric, dim, LENGTH, true);
        int stepRows = round % 2 == 0 ? 1 + random.nextInt(24) : SlotTable.STEP;
        Encoding encoding = random.nextBoolean() ? Encoding.F32 : Encoding.AUTO;
        IndexSpec spec = new IndexSpec.Ivf(0, encoding);
        check(new Case(backend, metric, dim, stepRows, spec), ops, seed);
      }
    }
  }

  private record Case(TestBackend backend, Metric metric, int dim, int stepRows, IndexSpec spec) {
    @Nullable String run(List<ModelOp> ops) {
      try (AcceleratedVectorIndex index =
          backend.builder(dim, metric, stepRows).spec(spec).build()) {
        return new ModelRun(index, metric).run(ops);
      }
    }

    @Override
    public String toString() {
      return "%s, %s, %d dimensions, %s, steps of %d rows"
          .formatted(backend.kind(), metric, dim, spec, stepRows);
    }
  }

  private static void check(Case where, List<ModelOp> ops, Seed seed) {
    if (where.run(ops) == null) {
      return;
    }
    List<ModelOp> shortest = Shrink.minimise(ops, SHRINK_ATTEMPTS, some -> where.run(some) != null);
    fail(
        "%s: %s%nafter%n%s%n%s"
            .formatted(
                where,
                where.run(shortest),
                shortest.stream().map(ModelRun::describe).collect(Collectors.joining("\n")),
                seed));
  }

  /** The model, not the index, is at fault here; the test must notice all the same. */
  @Test
  void aFaultIsFoundAndShrunk() {
    TestBackend backend = TestBackend.require(BackendKind.JAVA);
    Seed seed = new Seed("ModelTest#aFaultIsFoundAndShrunk");
    List<ModelOp> ops = ModelOp.sequence(seed.random(0), Metric.L2_SQUARED, 3, LENGTH);
    assertNotNull(runForgetful(backend, ops));
    List<ModelOp> shortest =
        Shrink.minimise(ops, SHRINK_ATTEMPTS, some -> runForgetful(backend, some) != null);
    assertNotNull(runForgetful(backend, shortest));
    // Something is added, something removed, and one operation sees that it is gone.
    assertEquals(3, shortest.size(), () -> seed + " " + shortest);
    boolean forgets =
        switch (shortest.get(1)) {
          case ModelOp.Remove op -> true;
          case ModelOp.RemoveAll op -> true;
          case ModelOp.RemoveIf op -> true;
          case ModelOp.Replace op -> true;
          default -> false;
        };
    assertTrue(forgets, () -> seed + " " + shortest);
  }

  private static @Nullable String runForgetful(TestBackend backend, List<ModelOp> ops) {
    try (AcceleratedVectorIndex index = backend.builder(3, Metric.L2_SQUARED).build()) {
      return new ModelRun(index, Metric.L2_SQUARED) {
        @Override
        void forget(Object entry) {}
      }.run(ops);
    }
  }
}
