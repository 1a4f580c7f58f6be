// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.Metric;
import dev.nearfield.VectorIndexException;
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
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** Who hears of the end of a compaction, a step at a time on this thread. */
class CompactorTest {
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
  private final Compactor compactor = new Compactor(1);
  private final Scratch scratch = new Scratch();

  /** There is no memory to tell it the first time. */
  private static final class Quiet extends Jobs.Compact {
    private int tries;

    Quiet() {
      super(null);
    }

    @Override
    protected void onEnd() {
      if (++tries == 1) {
        throw new OutOfMemoryError("made up");
      }
      super.onEnd();
    }
  }

  private List<Jobs.Compact> asked() {
    List<Jobs.Compact> jobs = List.of(new Jobs.Compact(null), new Quiet(), new Jobs.Compact(null));
    for (Jobs.Compact job : jobs) {
      assertTrue(job.start());
      compactor.ask(job);
    }
    long[] out = new long[1];
    state.add(MemorySegment.ofArray(new float[1]), 1, out, Engine.CallControl.NONE);
    return jobs;
  }

  private void steps() {
    for (int i = 0; i < 100 && compactor.wanted(state); i++) {
      compactor.step(state, worker, scratch);
    }
  }

  @Test
  void allAreToldAlthoughOneCouldNotBe() {
    List<Jobs.Compact> jobs = asked();
    assertThrows(OutOfMemoryError.class, this::steps);
    assertFalse(jobs.getLast().ended());
    assertTrue(compactor.wanted(state));
    steps();
    assertFalse(compactor.wanted(state));
    jobs.forEach(Jobs.Compact::await);
    assertEquals(1, counters.stats(0).compactions(), "not once more for those");
    assertEquals(2, ((Quiet) jobs.get(1)).tries);
  }

  @Test
  void aFailureReachesAllToo() {
    List<Jobs.Compact> jobs = asked();
    engine.failing = "compact";
    engine.failures.add(new IllegalStateException("a bug"));
    assertThrows(OutOfMemoryError.class, this::steps);
    steps();
    for (Jobs.Compact job : jobs) {
      assertThrows(VectorIndexException.class, job::await);
    }
    assertEquals(0, counters.stats(0).compactions());
  }
}
