// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
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
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** Large inserts, a step at a time on this thread. */
class InsertsTest {
  private static final int STEP = 16;

  private final FakeEngine engine = new FakeEngine();
  private final IndexState state =
      new IndexState(
          engine,
          new Engine.IndexOptions(1, Metric.L2_SQUARED, 0, 0, 0),
          0,
          new SlotTable(7, STEP));
  private final IndexCounters counters = new IndexCounters();
  private final Relocation relocation =
      new Relocation(
          Elsewhere.NOWHERE,
          new FallbackReporter(counters, new Completer(null), null),
          new Mailbox(1, 0),
          () -> {},
          () -> true);
  private final IndexWork worker =
      new IndexWork(
          state,
          counters,
          new CancelWord(),
          new PlacementInfo(engine.device(), Optional.empty(), List.of()),
          relocation);
  private final Inserts inserts = new Inserts(relocation);
  private final Scratch scratch = new Scratch();

  private InsertJob begin(int total) {
    InsertJob job = new InsertJob(null, total, 1, STEP);
    assertTrue(job.start());
    inserts.add(job);
    return job;
  }

  /** What the caller does for one chunk. */
  private static void copy(InsertJob job, int first) {
    MemorySegment buffer = job.buffer();
    assertNotNull(buffer);
    for (int i = 0; i < STEP; i++) {
      buffer.setAtIndex(ValueLayout.JAVA_FLOAT, i, first + i);
    }
    job.copied();
  }

  private boolean step() {
    return inserts.step(state, worker);
  }

  private float value(long handle) {
    return state.get("test", handle, scratch, Engine.CallControl.NONE)[0];
  }

  private void addOne() {
    long[] out = new long[1];
    state.add(MemorySegment.ofArray(new float[1]), 1, out, Engine.CallControl.NONE);
  }

  /** As many ranges as chunks: each time somebody else's row comes in between. */
  private InsertJob scattered(int chunks) {
    InsertJob job = begin(chunks * STEP);
    for (int i = 0; i < chunks; i++) {
      copy(job, i * STEP);
      assertTrue(step());
      addOne();
    }
    assertEquals(chunks, job.ranges());
    return job;
  }

  @Test
  void aSlowCallerKeepsNoOtherInsertWaiting() {
    InsertJob slow = begin(3 * STEP);
    copy(slow, 0);
    assertTrue(step());
    InsertJob quick = begin(2 * STEP);
    copy(quick, 100);
    copy(quick, 100 + STEP);
    while (step()) {}
    assertTrue(quick.ended());
    assertFalse(slow.ended());
    assertEquals(2 * STEP, state.live());
    assertEquals(117, value(quick.handles[17]));
    assertTrue(inserts.begun(), "neither a compaction nor a move may begin");
    copy(slow, STEP);
    copy(slow, 2 * STEP);
    while (step()) {}
    assertTrue(slow.ended());
    assertEquals(40, value(slow.handles[40]));
    assertEquals(5 * STEP, state.live());
    assertEquals(0, state.dead());
    assertTrue(inserts.isEmpty());
  }

  @Test
  void insertsTakeTurnsAndEachRangeIsShownInOneCall() {
    InsertJob a = begin(3 * STEP);
    InsertJob b = begin(3 * STEP);
    for (int i = 0; i < 3; i++) {
      copy(a, i * STEP);
      copy(b, 100 + i * STEP);
    }
    while (step()) {}
    assertEquals(3, a.ranges());
    assertEquals(3, b.ranges());
    assertEquals(6, engine.count("reveal"));
    InsertJob alone = begin(3 * STEP);
    for (int i = 0; i < 3; i++) {
      copy(alone, i * STEP);
    }
    while (step()) {}
    assertEquals(1, alone.ranges());
    assertEquals(7, engine.count("reveal"));
    assertEquals(3 * STEP, engine.last("reveal").batch());
    assertEquals(0, engine.count("hide") + engine.count("kill"), "they come hidden");
    assertTrue(
        engine.calls.stream().allMatch(c -> c.operation().equals("reveal") || c.batch() <= STEP));
    for (int i = 0; i < 3 * STEP; i++) {
      assertEquals(i, value(a.handles[i]));
      assertEquals(100 + i, value(b.handles[i]));
    }
  }

  @Test
  void handlesOfHiddenRowsAreNotIssued() {
    InsertJob job = begin(2 * STEP);
    copy(job, 0);
    assertTrue(step());
    assertThrows(IllegalArgumentException.class, () -> value(job.handles[3]));
    assertEquals(0, state.slots().select(handle -> true).size());
    assertEquals(0, state.live() + state.dead());
    job.abort(new IllegalStateException("test"));
    while (step()) {}
    assertThrows(IllegalArgumentException.class, () -> value(job.handles[3]));
    assertEquals(STEP, state.dead());
  }

  @Test
  void aFailedInsertGivesItsSlotsBackInSteps() {
    InsertJob job = begin(6 * STEP);
    for (int i = 0; i < 5; i++) {
      copy(job, i * STEP);
      assertTrue(step());
    }
    job.abort(new IllegalStateException("test"));
    for (int steps = 1; steps <= 5; steps++) {
      assertFalse(job.ended());
      assertTrue(step());
      assertEquals(steps * STEP, state.dead(), "one step after another");
    }
    assertThrows(VectorIndexException.class, job::await);
    assertFalse(inserts.begun());
    int slots = state.slots().slots();
    InsertJob again = begin(5 * STEP);
    for (int i = 0; i < 5; i++) {
      copy(again, i * STEP);
      assertTrue(step());
    }
    while (step()) {}
    assertEquals(slots, state.slots().slots(), "the same slots are used");
    assertEquals(20, value(again.handles[20]));
  }

  @Test
  void manyRangesAreShownInStepsWithNoSearchBetween() {
    InsertJob job = scattered(40);
    assertFalse(inserts.publishing());
    assertTrue(step());
    assertTrue(inserts.publishing());
    assertEquals(40, state.live(), "only those added between");
    assertTrue(step());
    assertFalse(inserts.publishing());
    assertTrue(job.ended());
    assertEquals(40 + 40 * STEP, state.live());
    assertEquals(40, engine.count("reveal"));
  }

  @Test
  void oneThatIsStoppedDuringACompactionEndsAtOnceAndNoneBegins() {
    InsertJob stopped = begin(2 * STEP);
    InsertJob waiting = begin(2 * STEP);
    copy(stopped, 0);
    copy(waiting, 0);
    state.beginCompaction();
    assertFalse(step());
    stopped.abort(new IllegalStateException("test"));
    assertTrue(step());
    assertTrue(stopped.ended());
    assertFalse(step());
    assertEquals(0, state.rowCount());
    state.endCompaction();
    assertTrue(step());
    assertEquals(STEP, state.rowCount());
  }

  @Test
  void whenSomeRowsCannotBeShownTheOthersAreHiddenAgain() {
    InsertJob job = scattered(3);
    engine.failing = "reveal";
    engine.failures.add(new Exception("the first one passes"));
    engine.failures.add(new IllegalStateException("a bug"));
    while (step()) {}
    assertThrows(VectorIndexException.class, job::await);
    assertNull(worker.lost());
    assertEquals(1, engine.count("hide"));
    assertEquals(3, state.live());
    assertEquals(3, state.rows().info().liveRows());
    assertEquals(3 * STEP, state.dead());
    assertFalse(inserts.publishing());
  }

  @Test
  void rowsThatCannotBeHiddenAgainEndTheIndexRatherThanShow() {
    scattered(3);
    engine.failing = "reveal,hide";
    engine.failures.add(new Exception("the first one passes"));
    engine.failures.add(new IllegalStateException("a bug"));
    engine.failures.add(new IllegalStateException("another bug"));
    assertTrue(step());
    assertNotNull(worker.lost());
    assertTrue(worker.lost().getMessage().contains("another bug"), worker.lost().getMessage());
  }
}
