// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.Metric;
import dev.nearfield.ModelOp;
import dev.nearfield.ModelRun;
import dev.nearfield.Seed;
import dev.nearfield.internal.engine.FakeEngine;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Random work on a device that fails now and then: what a call did not do, the index never shows.
 */
class FaultTest {
  private static final int DIM = 8;
  private static final int LENGTH = 60;

  private static final List<ModelOp> EACH =
      List.of(
          new ModelOp.AddAll(new float[20][DIM]),
          new ModelOp.Add(new float[DIM]),
          new ModelOp.AddAll(new float[20][DIM]),
          new ModelOp.Remove(0),
          new ModelOp.Add(new float[DIM]),
          new ModelOp.Remove(0),
          new ModelOp.Compact());

  @ParameterizedTest
  @ValueSource(strings = {"add", "replace", "read", "kill", "reveal", "search", "compact"})
  void theModelHoldsAfterEveryFailure(String failing) {
    Seed seed = new Seed("FaultTest#theModelHoldsAfterEveryFailure");
    List<ModelOp> ops = new ArrayList<>(EACH); // so that each failure meets its operation
    ops.addAll(ModelOp.sequence(seed.random(failing.hashCode()), Metric.L2_SQUARED, DIM, LENGTH));
    FakeEngine engine = new FakeEngine();
    IndexBuilder builder = (IndexBuilder) AcceleratedVectorIndex.builder(DIM, Metric.L2_SQUARED);
    try (AcceleratedVectorIndex index = builder.engine(engine).stepRows(7).build()) {
      ModelRun model = new ModelRun(index, Metric.L2_SQUARED);
      int failed = 0;
      for (ModelOp op : ops) {
        engine.failures.add(new DeviceOutOfMemoryException("the device is full", 100, 10, 20));
        engine.failing = failing;
        String wrong = model.run(List.of(op));
        failed += engine.failures.isEmpty() ? 1 : 0;
        engine.failing = "none";
        engine.failures.clear();
        // The model changes only after the index has answered: a failed call leaves both alike.
        assertTrue(
            wrong == null || wrong.contains("the device is full"), () -> wrong + "\n" + seed);
        String after = model.run(List.of(new ModelOp.Stats(), everything()));
        assertNull(after, () -> "after " + ModelRun.describe(op) + ": " + after + "\n" + seed);
      }
      assertTrue(failed > 0, () -> "nothing failed, " + seed);
    }
  }

  private static ModelOp everything() {
    return new ModelOp.Search(
        new float[1][DIM], 100_000, ModelOp.FilterKind.NONE, 100, false, 0, ModelOp.Reach.UNSAID);
  }
}
