// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nearfield.Metric;
import dev.nearfield.VectorHandles;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.event.FallbackReporter;
import dev.nearfield.internal.event.IndexCounters;
import dev.nearfield.internal.move.Elsewhere;
import dev.nearfield.internal.move.Relocation;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.table.SlotTable;
import dev.nearfield.internal.turn.CancelWord;
import dev.nearfield.internal.turn.Completer;
import dev.nearfield.internal.turn.Scratch;
import dev.nearfield.internal.value.PlacementInfo;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** Small changes, on this thread. */
class IndexWorkTest {
  private final FakeEngine engine = new FakeEngine();
  private final IndexState state =
      new IndexState(
          engine, new Engine.IndexOptions(1, Metric.L2_SQUARED, 0, 0, 0), 0, new SlotTable(7));
  private final IndexCounters counters = new IndexCounters();
  private final IndexWork worker =
      new IndexWork(
          state,
          counters,
          new CancelWord(),
          new PlacementInfo(engine.device(), Optional.empty(), List.of()),
          new Relocation(
              Elsewhere.NOWHERE,
              new FallbackReporter(counters, new Completer(null), null),
              new Mailbox(1, 0),
              () -> {},
              () -> true));

  /** An insert whose caller cannot be told the first time. */
  private static final class Quiet extends Jobs.Add {
    private int tries;

    Quiet() {
      super("add", null, new float[] {2}, 1);
    }

    @Override
    protected void onEnd() {
      if (++tries == 1) {
        throw new OutOfMemoryError("made up");
      }
      super.onEnd();
    }
  }

  @Test
  void vectorsAreAddedOnceAlthoughACallerCouldNotBeTold() {
    Quiet quiet = new Quiet();
    List<Jobs.Add> jobs =
        List.of(
            new Jobs.Add("add", null, new float[] {1}, 1),
            quiet,
            new Jobs.Add("add", null, new float[] {3}, 1));
    Scratch scratch = new Scratch();
    worker.add(jobs, scratch);
    assertEquals(3, state.live());
    for (int i = 0; i < 3; i++) {
      VectorHandles handles = jobs.get(i).await();
      float[] vector = state.get("test", handles.get(0).bits(), scratch, Engine.CallControl.NONE);
      assertEquals(i + 1, vector[0]);
    }
    assertEquals(2, quiet.tries);
    assertEquals(1, engine.count("add"));
  }
}
