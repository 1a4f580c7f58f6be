// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.CompactionReport;
import dev.nearfield.IndexClosedException;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandle;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.plain.JavaEngine;
import dev.nearfield.internal.table.LiveRows;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class ClosingTest {
  private static final SearchRequest ANY =
      SearchRequest.builder().query(new float[] {0}).topK(1).build();

  private final FakeEngine engine = new FakeEngine();
  private final AcceleratedVectorIndex index =
      new IndexBuilder(1, Metric.L2_SQUARED).engine(engine).batching(1, Duration.ZERO).build();

  @AfterEach
  void close() {
    engine.open();
    index.close();
    assertEquals(1, engine.indexesClosed.get());
    assertEquals(1, engine.closed.get());
  }

  private CompletableFuture<SearchResult> occupy() {
    index.add(new float[] {1});
    engine.hold("search");
    CompletableFuture<SearchResult> running = index.searchAsync(ANY);
    engine.awaitHeld();
    return running;
  }

  @Test
  void closeStopsTheRunningStep() throws Exception {
    CompletableFuture<SearchResult> running = occupy();
    index.close(); // the gate stays shut
    ExecutionException e =
        assertThrows(ExecutionException.class, () -> running.get(20, TimeUnit.SECONDS));
    assertInstanceOf(IndexClosedException.class, e.getCause());
  }

  @Test
  void closeWaitsForAStepThatDoesNotHearAndFailsTheQueue() throws Exception {
    engine.deaf = true;
    CompletableFuture<SearchResult> running = occupy();
    CompletableFuture<SearchResult> queued = index.searchAsync(ANY);
    CompletableFuture<CompactionReport> compaction = index.compact();
    Thread closer = Thread.ofPlatform().start(index::close);
    closer.join(100);
    assertTrue(closer.isAlive());
    assertFalse(running.isDone());
    ExecutionException refused =
        assertThrows(
            ExecutionException.class, () -> index.searchAsync(ANY).get(20, TimeUnit.SECONDS));
    assertInstanceOf(IndexClosedException.class, refused.getCause());
    engine.open();
    closer.join();
    assertEquals(1, running.get(20, TimeUnit.SECONDS).hitCount(0));
    for (CompletableFuture<?> failed : List.of(queued, compaction)) {
      ExecutionException e =
          assertThrows(ExecutionException.class, () -> failed.get(20, TimeUnit.SECONDS));
      assertInstanceOf(IndexClosedException.class, e.getCause());
    }
  }

  @Test
  void aClosedIndexRefusesEverythingButReading() throws Exception {
    VectorHandle handle = index.add(new float[] {1});
    index.close();
    index.close();
    assertThrows(IndexClosedException.class, () -> index.add(new float[] {1}));
    assertThrows(
        IndexClosedException.class, () -> index.addAll(VectorBatch.of(new float[][] {{1}})));
    assertThrows(
        IndexClosedException.class,
        () -> index.addAll(VectorBatch.of(new float[LiveRows.chunkRows(1) + 1][1])));
    assertThrows(IndexClosedException.class, () -> index.remove(handle));
    assertThrows(IndexClosedException.class, () -> index.removeIf(h -> true));
    assertThrows(IndexClosedException.class, () -> index.replace(handle, new float[] {1}));
    assertThrows(IndexClosedException.class, () -> index.get(handle));
    assertThrows(IndexClosedException.class, () -> index.search(ANY));
    assertThrows(
        IllegalArgumentException.class,
        () -> index.add(new float[2]),
        "a mistake is one, open or closed");
    assertEquals(JavaEngine.DEVICE, index.placement().device());
    assertEquals(1, index.stats().live());
    assertTrue(index.close(Duration.ZERO));
  }

  @Test
  void closeMayBeCalledFromADependentAndFromManyThreads() throws Exception {
    CompletableFuture<SearchResult> running = occupy();
    CompletableFuture<Void> closed = running.thenAccept(result -> index.close());
    List<Thread> closers = new ArrayList<>();
    engine.open();
    for (int i = 0; i < 8; i++) {
      closers.add((i % 2 == 0 ? Thread.ofPlatform() : Thread.ofVirtual()).start(index::close));
    }
    closed.get(20, TimeUnit.SECONDS);
    for (Thread closer : closers) {
      closer.join();
    }
  }

  @Test
  void drainingFinishesWhatIsQueued() throws Exception {
    CompletableFuture<SearchResult> running = occupy();
    CompletableFuture<SearchResult> queued = index.searchAsync(ANY);
    CompletableFuture<Boolean> drained =
        CompletableFuture.supplyAsync(
            () -> {
              try {
                return index.close(Duration.ofSeconds(20));
              } catch (InterruptedException e) {
                throw new AssertionError(e);
              }
            },
            Thread::startVirtualThread);
    assertThrows(
        java.util.concurrent.TimeoutException.class, () -> drained.get(50, TimeUnit.MILLISECONDS));
    engine.open();
    assertTrue(drained.get(20, TimeUnit.SECONDS));
    assertEquals(1, running.get(20, TimeUnit.SECONDS).hitCount(0));
    assertEquals(1, queued.get(20, TimeUnit.SECONDS).hitCount(0));
  }

  @Test
  void drainingGivesUpInTime() throws Exception {
    engine.deaf = true;
    CompletableFuture<SearchResult> running = occupy();
    CompletableFuture<SearchResult> queued = index.searchAsync(ANY);
    Thread opener =
        Thread.startVirtualThread(
            () -> {
              BatchingTest.await(() -> queued.isDone() || Thread.currentThread().isInterrupted());
            });
    CompletableFuture<Boolean> drained =
        CompletableFuture.supplyAsync(
            () -> {
              try {
                return index.close(Duration.ofMillis(50));
              } catch (InterruptedException e) {
                throw new AssertionError(e);
              }
            },
            Thread::startVirtualThread);
    Thread.sleep(200);
    assertFalse(drained.isDone(), "the running step is waited for");
    engine.open();
    assertFalse(drained.get(20, TimeUnit.SECONDS));
    assertEquals(1, running.get(20, TimeUnit.SECONDS).hitCount(0));
    assertThrows(ExecutionException.class, () -> queued.get(20, TimeUnit.SECONDS));
    opener.join();
  }

  @Test
  void aDrainThatIsInterruptedClosesAllTheSame() throws Exception {
    occupy();
    Thread closer =
        Thread.ofPlatform()
            .start(
                () ->
                    assertThrows(
                        InterruptedException.class, () -> index.close(Duration.ofSeconds(50))));
    Thread.sleep(30);
    closer.interrupt();
    engine.open();
    closer.join();
    assertThrows(IndexClosedException.class, () -> index.search(ANY));
  }

  @Test
  void closingRacesWithSearches() throws Exception {
    for (int round = 0; round < 50; round++) {
      FakeEngine own = new FakeEngine();
      AcceleratedVectorIndex racing = new IndexBuilder(1, Metric.L2_SQUARED).engine(own).build();
      racing.add(new float[] {1});
      List<CompletableFuture<SearchResult>> searches = new ArrayList<>();
      Thread closer = Thread.ofPlatform().start(racing::close);
      for (int i = 0; i < 20; i++) {
        searches.add(racing.searchAsync(ANY));
      }
      closer.join();
      for (CompletableFuture<SearchResult> search :
          searches) { // every one ends, one way or the other
        try {
          assertEquals(1, search.get(20, TimeUnit.SECONDS).hitCount(0));
        } catch (ExecutionException e) {
          assertInstanceOf(IndexClosedException.class, e.getCause());
        }
      }
      assertEquals(1, own.closed.get());
    }
  }
}
