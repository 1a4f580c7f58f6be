// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.BackendKind;
import dev.nearfield.Metric;
import dev.nearfield.SearchTimeoutException;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.index.BatchingTest;
import dev.nearfield.internal.value.DeviceInfo;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class DeviceOwnerTest {
  private static final DeviceInfo DEVICE =
      new DeviceInfo(BackendKind.CUDA, 77, "a test", "none", 0, false);

  @Test
  void turnsAreTaken() throws Exception {
    DeviceOwner owner = DeviceOwner.of(new FakeEngine(DEVICE));
    AtomicInteger greedy = new AtomicInteger();
    AtomicInteger modest = new AtomicInteger();
    DeviceOwner.Seat first =
        owner.seat(
            (engine, scratch, until) ->
                greedy.incrementAndGet() < 1000 ? DeviceOwner.AGAIN : DeviceOwner.IDLE);
    AtomicInteger greedyAtModest = new AtomicInteger();
    DeviceOwner.Seat second =
        owner.seat(
            (engine, scratch, until) -> {
              greedyAtModest.set(greedy.get());
              modest.incrementAndGet();
              return DeviceOwner.IDLE;
            });
    AtomicInteger delayed = new AtomicInteger();
    DeviceOwner.Seat third =
        owner.seat(
            (engine, scratch, until) ->
                delayed.incrementAndGet() < 3 ? 1_000_000 : DeviceOwner.IDLE);
    OwnerCall.run(
        owner,
        "both",
        null,
        (engine, scratch, control) -> {
          first.ready();
          second.ready();
          third.ready();
          return 0;
        });
    BatchingTest.await(() -> greedy.get() == 1000 && delayed.get() == 3);
    assertEquals(1, modest.get());
    assertTrue(
        greedyAtModest.get() <= 1,
        "the second waited for " + greedyAtModest.get() + " turns of the first");
    owner.release();
  }

  /** Such as the next piece of its work. */
  @Test
  void whoIsMadeReadyInItsOwnTurnIsBehindThoseWhoWait() {
    DeviceOwner owner = DeviceOwner.of(new FakeEngine(DEVICE));
    List<String> turns = Collections.synchronizedList(new ArrayList<>());
    DeviceOwner.Seat other =
        owner.seat(
            (engine, scratch, until) -> {
              turns.add("other");
              return DeviceOwner.IDLE;
            });
    AtomicReference<DeviceOwner.Seat> self = new AtomicReference<>();
    self.set(
        owner.seat(
            (engine, scratch, until) -> {
              turns.add("self");
              if (turns.size() == 1) {
                self.get().ready();
                other.ready();
              }
              return DeviceOwner.IDLE;
            }));
    self.get().ready();
    BatchingTest.await(() -> turns.size() == 3);
    assertEquals(List.of("self", "other", "self"), turns);
    owner.release();
  }

  @Test
  void aTurnThatThrowsDoesNotEndTheOwner() {
    DeviceOwner owner = DeviceOwner.of(new FakeEngine(DEVICE));
    owner
        .seat(
            (engine, scratch, until) -> {
              throw new IllegalStateException("a bug, logged in this test on purpose");
            })
        .ready();
    assertEquals(5, OwnerCall.<Integer>run(owner, "call", null, (engine, scratch, control) -> 5));
    owner.release();
  }

  @Test
  void aTurnThatFailsIsRunAgainButNotInAHotLoop() throws Exception {
    DeviceOwner owner = DeviceOwner.of(new FakeEngine(DEVICE));
    AtomicInteger runs = new AtomicInteger();
    DeviceOwner.Seat seat =
        owner.seat(
            (engine, scratch, until) -> {
              if (runs.incrementAndGet() <= 3) {
                throw new OutOfMemoryError("made up, logged in this test on purpose");
              }
              return DeviceOwner.IDLE;
            });
    long start = System.nanoTime();
    seat.ready();
    BatchingTest.await(() -> runs.get() == 4);
    // After one, two and four turns' time.
    assertTrue(System.nanoTime() - start >= 7 * DeviceOwner.TURN_NANOS);
    owner.release();
  }

  @Test
  void aCallersTurnThatFailsGivesTheDeviceBack() {
    DeviceOwner owner = DeviceOwner.of(new FakeEngine(DEVICE));
    AtomicInteger runs = new AtomicInteger();
    DeviceOwner.Seat seat =
        owner.seat(
            (engine, scratch, until) -> {
              runs.incrementAndGet();
              return DeviceOwner.IDLE;
            });
    BatchingTest.await(
        () -> {
          try {
            seat.tryHere(
                (engine, scratch, until) -> {
                  throw new OutOfMemoryError("made up");
                });
            return false;
          } catch (OutOfMemoryError e) {
            return true;
          }
        });
    BatchingTest.await(() -> runs.get() == 1); // the owner thread looks after it
    assertEquals(5, OwnerCall.<Integer>run(owner, "call", null, (engine, scratch, control) -> 5));
    owner.release();
  }

  @Test
  void callsTimeOutAndAreInterrupted() throws Exception {
    FakeEngine engine = new FakeEngine(DEVICE);
    DeviceOwner owner = DeviceOwner.of(engine);
    engine.hold("create");
    OwnerCall.Task<EngineIndex> task =
        (e, scratch, control) ->
            e.createIndex(new Engine.IndexOptions(1, Metric.DOT, 0, 0, 0), control);
    assertThrows(
        SearchTimeoutException.class,
        () -> OwnerCall.run(owner, "call", Duration.ofMillis(20), task));
    engine.awaitHeld();
    AtomicReference<Throwable> thrown = new AtomicReference<>();
    Thread caller =
        Thread.ofVirtual()
            .start(
                () ->
                    thrown.set(
                        assertThrows(
                            RuntimeException.class,
                            () -> OwnerCall.run(owner, "call", null, task))));
    engine.awaitHeld();
    caller.interrupt();
    caller.join();
    assertInstanceOf(CancellationException.class, thrown.get());
    engine.open();
    owner.release();
    assertTrue(engine.calls.getFirst().thread().join(Duration.ofSeconds(20)));
  }
}
