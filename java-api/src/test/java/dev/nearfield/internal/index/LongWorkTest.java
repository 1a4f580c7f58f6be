// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.CompactionReport;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.IndexClosedException;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandle;
import dev.nearfield.VectorHandles;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.table.LiveRows;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Large inserts and compactions, and what happens between their slices. */
@Timeout(60)
class LongWorkTest {
  private static final int DIM = 64;
  private static final int CHUNK = LiveRows.chunkRows(DIM);
  private static final SearchRequest ALL =
      SearchRequest.builder().query(new float[DIM]).topK(1 << 20).build();

  private final FakeEngine engine = new FakeEngine();
  private final AcceleratedVectorIndex index =
      new IndexBuilder(DIM, Metric.L2_SQUARED)
          .engine(engine)
          .autoCompaction(1)
          .batching(1, Duration.ZERO)
          .build();

  @AfterEach
  void close() {
    engine.open();
    index.close();
  }

  private static float[][] rows(int count) {
    float[][] rows = new float[count][DIM];
    for (int i = 0; i < count; i++) {
      rows[i][0] = i;
    }
    return rows;
  }

  private CompletableFuture<VectorHandles> inBackground(VectorBatch batch) {
    return CompletableFuture.supplyAsync(() -> index.addAll(batch), Thread::startVirtualThread);
  }

  private int found() {
    return index.search(ALL).hitCount(0);
  }

  @Test
  void searchesBetweenTheChunksFindNoneOfThem() throws Exception {
    VectorHandle before = index.add(new float[DIM]);
    engine.hold("add");
    CompletableFuture<VectorHandles> insert = inBackground(VectorBatch.of(rows(2 * CHUNK + 5)));
    SearchRequest filtered =
        SearchRequest.builder().query(new float[DIM]).topK(10).filter(h -> true).build();
    for (SearchRequest request : List.of(ALL, filtered)) {
      engine.awaitHeld();
      CompletableFuture<SearchResult> search = index.searchAsync(request);
      engine.release();
      assertEquals(1, search.get(20, TimeUnit.SECONDS).hitCount(0));
    }
    engine.open();
    VectorHandles handles = insert.get(20, TimeUnit.SECONDS);
    assertEquals(2 * CHUNK + 6, found());
    assertEquals(2 * CHUNK + 6, index.stats().live());
    assertTrue(index.remove(before));
    assertEquals(CHUNK + 1, index.get(handles.get(CHUNK + 1)).orElseThrow().vector()[0]);
  }

  @Test
  void otherInsertsAndRemovalsGoBetweenTheChunks() throws Exception {
    VectorHandle before = index.add(new float[DIM]);
    engine.hold("add");
    CompletableFuture<VectorHandles> insert = inBackground(VectorBatch.of(rows(2 * CHUNK)));
    engine.awaitHeld();
    CompletableFuture<Boolean> removal =
        CompletableFuture.supplyAsync(() -> index.remove(before), Thread::startVirtualThread);
    CompletableFuture<VectorHandle> small =
        CompletableFuture.supplyAsync(() -> index.add(new float[DIM]), Thread::startVirtualThread);
    BatchingTest.await(() -> index.stats().queued() == 2);
    engine.open();
    assertTrue(removal.get(20, TimeUnit.SECONDS));
    VectorHandles handles = insert.get(20, TimeUnit.SECONDS);
    assertEquals(2 * CHUNK + 1, index.stats().live());
    index.compact().get(20, TimeUnit.SECONDS);
    assertTrue(index.get(small.get()).isPresent());
    for (int i = 0; i < 2 * CHUNK; i += 997) {
      assertEquals(i, index.get(handles.get(i)).orElseThrow().vector()[0]);
    }
    assertEquals(2 * CHUNK + 1, found());
  }

  @Test
  void anInsertThatFailsHalfWayLeavesNothingToBeFound() throws Exception {
    engine.hold("add");
    CompletableFuture<VectorHandles> insert = inBackground(VectorBatch.of(rows(2 * CHUNK)));
    engine.awaitHeld();
    engine.release();
    engine.awaitHeld();
    engine.failing = "add";
    engine.failures.add(new DeviceOutOfMemoryException("full", 1, 0, 1));
    engine.open();
    assertInstanceOf(
        DeviceOutOfMemoryException.class,
        assertThrows(ExecutionException.class, () -> insert.get(20, TimeUnit.SECONDS)).getCause());
    assertEquals(0, found());
    assertEquals(CHUNK, index.stats().deleted());
    assertEquals(CHUNK, index.compact().get(20, TimeUnit.SECONDS).reclaimed());
    VectorHandles handles = index.addAll(VectorBatch.of(rows(10)));
    assertEquals(10, found());
    assertEquals(3, index.get(handles.get(3)).orElseThrow().vector()[0]);
  }

  @Test
  void aSegmentClosedInMidCallIsTheCallersFailureOnly() throws Exception {
    Arena arena = Arena.ofShared();
    int count = 5 * CHUNK;
    MemorySegment segment = arena.allocate(ValueLayout.JAVA_FLOAT, (long) count * DIM);
    engine.hold("add");
    CompletableFuture<VectorHandles> insert =
        inBackground(VectorBatch.of(segment, count, DIM, DIM * Float.BYTES));
    engine.awaitHeld(); // the caller has copied all chunks that there are buffers for, and waits
    Thread closer =
        Thread.startVirtualThread(
            () -> {
              while (true) { // closing fails while the caller is just copying
                try {
                  arena.close();
                  return;
                } catch (IllegalStateException busy) {
                  Thread.onSpinWait();
                }
              }
            });
    closer.join();
    engine.open();
    Throwable cause =
        assertThrows(ExecutionException.class, () -> insert.get(20, TimeUnit.SECONDS)).getCause();
    assertEquals(IllegalStateException.class, cause.getClass());
    assertEquals(0, found());
    index.add(new float[DIM]);
    assertEquals(1, found());
  }

  @Test
  void anArrayChangedInMidCallIsRefused() throws Exception {
    float[][] rows = rows(5 * CHUNK);
    engine.hold("add");
    CompletableFuture<VectorHandles> insert = inBackground(VectorBatch.of(rows));
    engine.awaitHeld(); // the first chunk is copied, the last is not
    rows[0][1] = Float.NaN;
    rows[rows.length - 1][1] = Float.NaN;
    engine.open();
    Throwable cause =
        assertThrows(ExecutionException.class, () -> insert.get(20, TimeUnit.SECONDS)).getCause();
    assertInstanceOf(IllegalArgumentException.class, cause);
    assertTrue(
        cause.getMessage().contains("vector [" + (rows.length - 1) + "] has [NaN]"),
        cause.getMessage());
    assertEquals(0, found());
  }

  @Test
  void anInterruptStopsALargeInsert() throws Exception {
    engine.hold("add");
    CompletableFuture<Throwable> thrown = new CompletableFuture<>();
    Thread caller =
        Thread.ofPlatform()
            .start(
                () -> {
                  thrown.complete(
                      assertThrows(
                          RuntimeException.class,
                          () -> index.addAll(VectorBatch.of(rows(4 * CHUNK)))));
                  assertTrue(Thread.currentThread().isInterrupted());
                });
    engine.awaitHeld();
    caller.interrupt();
    Thread.sleep(20);
    engine.open();
    assertInstanceOf(CancellationException.class, thrown.get(20, TimeUnit.SECONDS));
    caller.join();
    assertEquals(0, found());
    index.compact().get(20, TimeUnit.SECONDS);
    assertEquals(0, index.stats().deleted());
  }

  @Test
  void closingFailsALargeInsert() throws Exception {
    engine.hold("add");
    CompletableFuture<VectorHandles> insert = inBackground(VectorBatch.of(rows(4 * CHUNK)));
    engine.awaitHeld();
    Thread closer = Thread.ofPlatform().start(index::close);
    engine.open();
    closer.join();
    try {
      insert.get(20, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      assertInstanceOf(IndexClosedException.class, e.getCause());
    }
  }

  @Test
  void aDrainWaitsForALargeInsert() throws Exception {
    engine.hold("add");
    CompletableFuture<VectorHandles> insert = inBackground(VectorBatch.of(rows(3 * CHUNK)));
    engine.awaitHeld();
    engine.open();
    assertTrue(index.close(Duration.ofSeconds(20)));
    assertEquals(3 * CHUNK, insert.get(20, TimeUnit.SECONDS).size());
  }

  @Test
  void everythingGoesOnBetweenTheSlicesOfACompaction() throws Exception {
    VectorHandles handles = index.addAll(VectorBatch.of(rows(2000)));
    for (int i = 0; i < 1000; i++) {
      index.remove(handles.get(i));
    }
    engine.compactSlices = Integer.MAX_VALUE; // until this test has seen enough
    CompletableFuture<CompactionReport> compaction = index.compact();
    BatchingTest.await(() -> engine.count("compact") > 0);
    int steps = 0;
    VectorHandle replaced = handles.get(1500);
    VectorHandle added = index.add(new float[DIM]);
    while (steps < 10) {
      assertTrue(index.remove(handles.get(1000 + steps)));
      float[] next = new float[DIM];
      next[0] = 5000 + steps;
      replaced = index.replace(replaced, next).orElseThrow();
      assertEquals(1000 - steps, found(), "the vectors left and the one added");
      steps++;
    }
    assertFalse(compaction.isDone());
    engine.compactSlices = 0;
    CompactionReport report = compaction.get(20, TimeUnit.SECONDS);
    assertTrue(report.reclaimed() >= 1000 && report.reclaimed() <= 1000 + steps, report.toString());
    assertEquals(1001 - steps, found());
    assertEquals(5000 + steps - 1, index.get(replaced).orElseThrow().vector()[0]);
    assertTrue(index.get(added).isPresent());
    for (int i = 0; i < 2000; i++) {
      boolean live = i >= 1000 + steps && i != 1500;
      assertEquals(live, index.get(handles.get(i)).isPresent(), "vector " + i);
    }
    index.compact().get(20, TimeUnit.SECONDS);
    assertEquals(0, index.stats().deleted());
    assertEquals(1001 - steps, found());
  }

  @Test
  void aFailedCompactionChangesNothing() throws Exception {
    VectorHandles handles = index.addAll(VectorBatch.of(rows(100)));
    index.remove(handles.get(0));
    engine.failing = "compact";
    engine.failures.add(new DeviceOutOfMemoryException("no room for the copy", 1, 0, 1));
    CompletableFuture<CompactionReport> compaction = index.compact();
    assertInstanceOf(
        DeviceOutOfMemoryException.class,
        assertThrows(ExecutionException.class, () -> compaction.get(20, TimeUnit.SECONDS))
            .getCause());
    assertEquals(99, found());
    assertEquals(1, index.compact().get(20, TimeUnit.SECONDS).reclaimed());
  }

  @Test
  void compactionStartsByItselfAboveTheRatio() throws Exception {
    FakeEngine own = new FakeEngine();
    try (AcceleratedVectorIndex automatic =
        new IndexBuilder(1, Metric.L2_SQUARED).engine(own).autoCompaction(0.5).build()) {
      VectorHandles handles = automatic.addAll(VectorBatch.of(new float[4096][1]));
      for (int i = 0; i < 2047; i++) {
        automatic.remove(handles.get(i));
      }
      assertEquals(0, own.count("compact"));
      automatic.remove(handles.get(2047));
      BatchingTest.await(() -> automatic.stats().compactions() == 1);
      assertEquals(0, automatic.stats().deleted());
      assertEquals(2048, automatic.stats().live());
    }
  }

  @Test
  void anAutomaticCompactionThatFailsIsNotTriedAgainAtOnce() {
    FakeEngine own = new FakeEngine();
    own.failing = "compact";
    for (int i = 0; i < 100; i++) {
      own.failures.add(new DeviceOutOfMemoryException("no room for the copy", 1, 0, 1));
    }
    try (AcceleratedVectorIndex automatic =
        new IndexBuilder(1, Metric.L2_SQUARED).engine(own).autoCompaction(0.1).build()) {
      VectorHandles handles = automatic.addAll(VectorBatch.of(new float[4096][1]));
      for (int i = 0; i < 3000; i++) {
        automatic.remove(handles.get(i));
      }
      assertTrue(
          own.count("compact") >= 1 && own.count("compact") <= 3, own.count("compact") + " tries");
      assertEquals(1096, automatic.stats().live());
    }
  }

  @Test
  void compactingAnEmptyIndexIsFine() throws Exception {
    assertEquals(0, index.compact().get(20, TimeUnit.SECONDS).reclaimed());
    CompletableFuture<CompactionReport> cancelled = index.compact();
    cancelled.cancel(true);
    assertTrue(cancelled.isDone());
    index.add(new float[DIM]);
    assertFalse(
        index.compact().handle((report, failure) -> failure instanceof CompletionException).get());
  }
}
