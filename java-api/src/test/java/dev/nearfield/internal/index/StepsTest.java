// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.CompactionReport;
import dev.nearfield.HandleSet;
import dev.nearfield.IndexClosedException;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandle;
import dev.nearfield.VectorHandles;
import dev.nearfield.internal.engine.FakeEngine;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Work on many rows goes step by step, and others are served between any two steps. */
@Timeout(60)
class StepsTest {
  private static final int STEP = 16;
  private static final int COUNT = 7 * STEP;

  private final FakeEngine engine = new FakeEngine();
  private final AcceleratedVectorIndex index =
      new IndexBuilder(1, Metric.L2_SQUARED)
          .engine(engine)
          .stepRows(STEP)
          .autoCompaction(1)
          .build();
  private final VectorHandles handles = fill();

  private VectorHandles fill() {
    float[][] rows = new float[COUNT][];
    for (int i = 0; i < COUNT; i++) {
      rows[i] = new float[] {i};
    }
    return index.addAll(VectorBatch.of(rows));
  }

  @AfterEach
  void close() {
    engine.open();
    index.close();
    assertTrue(
        engine.calls.stream()
            .filter(c -> List.of("add", "kill", "read", "compact").contains(c.operation()))
            .allMatch(c -> c.batch() <= STEP),
        engine.calls.toString());
  }

  private static <T> CompletableFuture<T> inBackground(Supplier<T> call) {
    return CompletableFuture.supplyAsync(call, Thread::startVirtualThread);
  }

  private static SearchRequest.Builder all() {
    return SearchRequest.builder().query(new float[1]).topK(1000);
  }

  @Test
  void othersAreServedBetweenTheStepsOfARemoval() throws Exception {
    engine.hold("kill");
    CompletableFuture<Integer> removal =
        inBackground(() -> index.removeIf(h -> h.bits() != handles.bits(0)));
    for (int step = 0; step < 7; step++) {
      engine.awaitHeld();
      CompletableFuture<SearchResult> search = index.searchAsync(all().build());
      engine.release();
      int left = COUNT - Math.min(COUNT - 1, (step + 1) * STEP);
      int found = search.get(20, TimeUnit.SECONDS).hitCount(0);
      assertTrue(found == left || found == left - STEP, found + " are found, not " + left);
    }
    assertEquals(COUNT - 1, removal.get(20, TimeUnit.SECONDS));
    assertEquals(7, engine.count("kill"));
    assertEquals(1, index.stats().live());
  }

  @Test
  void aRemovalCountsWhatItRemovedItself() throws Exception {
    engine.hold("kill");
    CompletableFuture<Integer> removal = inBackground(() -> index.removeAll(handles));
    engine.awaitHeld();
    CompletableFuture<Boolean> other = inBackground(() -> index.remove(handles.get(COUNT - 1)));
    CompletableFuture<Optional<VectorHandle>> replaced =
        inBackground(() -> index.replace(handles.get(COUNT - 2), new float[] {-1}));
    BatchingTest.await(() -> index.stats().queued() == 2);
    engine.open();
    assertEquals(COUNT - 2, removal.get(20, TimeUnit.SECONDS));
    assertTrue(other.get(20, TimeUnit.SECONDS));
    assertTrue(replaced.get(20, TimeUnit.SECONDS).isPresent());
    assertEquals(1, index.stats().live());
  }

  @Test
  void aHandleNeverIssuedKeepsAllOthersThere() {
    List<VectorHandle> some = new ArrayList<>();
    handles.forEach(some::add);
    some.add(new VectorHandle(handles.bits(3) + 1));
    assertThrows(IllegalArgumentException.class, () -> index.removeAll(VectorHandles.of(some)));
    assertEquals(COUNT, index.stats().live());
    some.removeLast();
    some.addAll(List.copyOf(some)); // twice each
    assertEquals(COUNT, index.removeAll(VectorHandles.of(some)));
  }

  @Test
  void aRemovalUnderWayIsDoneBeforeADrainEnds() throws Exception {
    engine.hold("kill");
    CompletableFuture<Integer> removal = inBackground(() -> index.removeAll(handles));
    engine.awaitHeld();
    engine.open();
    assertTrue(index.close(java.time.Duration.ofSeconds(20)));
    assertEquals(COUNT, removal.get(20, TimeUnit.SECONDS));
  }

  @Test
  void othersAreServedBetweenTheStepsOfACompaction() throws Exception {
    assertEquals(COUNT / 2, index.removeIf(h -> number(h) % 2 == 0));
    engine.hold("compact");
    CompletableFuture<CompactionReport> compaction = index.compact();
    for (int step = 0; step < 6; step++) {
      engine.awaitHeld();
      int row = 16 * step + 3; // of those that the step passes
      CompletableFuture<Boolean> removal = inBackground(() -> index.remove(handles.get(row)));
      BatchingTest.await(() -> index.stats().queued() == 1);
      engine.release();
      assertTrue(removal.get(20, TimeUnit.SECONDS));
    }
    engine.open();
    CompactionReport report = compaction.get(20, TimeUnit.SECONDS);
    assertEquals(COUNT / 2, report.reclaimed(), "rows that died after they were passed are kept");
    assertEquals(7, engine.count("compact"));
    assertEquals(COUNT / 2 - 6, index.search(all().build()).hitCount(0));
    assertEquals(6, index.compact().get(20, TimeUnit.SECONDS).reclaimed());
    for (int i = 0; i < COUNT; i++) {
      boolean there = i % 2 == 1 && !(i % 16 == 3 && i < 96);
      assertEquals(there, index.get(handles.get(i)).isPresent(), "vector " + i);
    }
  }

  private int number(VectorHandle handle) {
    for (int i = 0; i < COUNT; i++) {
      if (handles.bits(i) == handle.bits()) {
        return i;
      }
    }
    throw new AssertionError(handle);
  }

  @Test
  void aMaskThatWentStaleInTheQueueIsMadeAgain() throws Exception {
    index.removeIf(h -> number(h) < 50);
    HandleSet some = HandleSet.of(handles.bits(10), handles.bits(60), handles.bits(100));
    engine.hold("compact");
    CompletableFuture<CompactionReport> compaction = index.compact();
    for (int i = 0; i < 6; i++) {
      engine.awaitHeld();
      engine.release();
    }
    engine.awaitHeld(); // the last step: afterwards rows have other numbers
    CompletableFuture<SearchResult> set = index.searchAsync(all().filter(some).build());
    CompletableFuture<SearchResult> predicate =
        index.searchAsync(all().filter(h -> number(h) >= 110).build());
    engine.open();
    compaction.get(20, TimeUnit.SECONDS);
    SearchResult found = set.get(20, TimeUnit.SECONDS);
    assertEquals(2, found.hitCount(0));
    assertEquals(handles.get(60), found.hits(0).get(0).handle());
    assertEquals(handles.get(100), found.hits(0).get(1).handle());
    assertEquals(COUNT - 110, predicate.get(20, TimeUnit.SECONDS).hitCount(0));
  }

  @Test
  void aReplacedVectorLeavesTheMaskOfItsOldHandle() {
    HandleSet some = HandleSet.of(handles);
    assertEquals(COUNT, index.search(all().filter(some).build()).hitCount(0));
    VectorHandle now = index.replace(handles.get(5), new float[] {500}).orElseThrow();
    assertEquals(COUNT - 1, index.search(all().filter(some).build()).hitCount(0));
    assertFalse(some.contains(now));
    HandleSet only = HandleSet.of(now.bits());
    assertEquals(1, index.search(all().filter(only).build()).hitCount(0));
  }

  @Test
  void closingEndsARemovalInItsMiddle() throws Exception {
    engine.hold("kill");
    CompletableFuture<Integer> removal = inBackground(() -> index.removeAll(handles));
    engine.awaitHeld();
    Thread closer = Thread.ofPlatform().start(index::close);
    engine.open();
    closer.join();
    try {
      assertEquals(COUNT, removal.get(20, TimeUnit.SECONDS));
    } catch (ExecutionException e) {
      assertInstanceOf(IndexClosedException.class, e.getCause());
    }
  }
}
