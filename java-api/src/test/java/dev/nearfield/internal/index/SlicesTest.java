// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.IndexBusyException;
import dev.nearfield.IndexClosedException;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandle;
import dev.nearfield.internal.engine.FakeEngine;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Searches of more queries than a device call takes, and who comes between their slices. */
@Timeout(60)
class SlicesTest {
  private static final int SLICE = 4;
  private static final int QUERIES = 5 * SLICE;

  private final FakeEngine engine = new FakeEngine();
  private final AcceleratedVectorIndex index = index(engine, 16);

  private static AcceleratedVectorIndex index(FakeEngine engine, int mailbox) {
    return new IndexBuilder(1, Metric.L2_SQUARED)
        .engine(engine)
        .batching(SLICE, Duration.ZERO)
        .mailbox(mailbox, Duration.ofSeconds(10))
        .build();
  }

  @AfterEach
  void close() {
    engine.open();
    index.close();
  }

  private static VectorBatch batch(int size) {
    float[][] rows = new float[size][1];
    for (int i = 0; i < size; i++) {
      rows[i][0] = i;
    }
    return VectorBatch.of(rows);
  }

  private static SearchRequest request(int queries) {
    return SearchRequest.builder().queries(batch(queries)).topK(1).build();
  }

  private static <T> T done(CompletableFuture<T> future) throws Exception {
    return future.get(20, TimeUnit.SECONDS);
  }

  private long slices() {
    return engine.calls.stream()
        .filter(call -> call.operation().equals("search") && call.batch() == SLICE)
        .count();
  }

  /** A bulk search whose first slice stands at the gate. */
  private CompletableFuture<SearchResult> begun() {
    engine.hold("search");
    CompletableFuture<SearchResult> bulk = index.searchAsync(request(QUERIES));
    engine.awaitHeld();
    return bulk;
  }

  @Test
  void aBulkSearchCountsAsQueuedUntilItEnds() throws Exception {
    index.add(new float[] {0});
    CompletableFuture<SearchResult> bulk = begun();
    assertEquals(1, index.stats().queued());
    CompletableFuture<SearchResult> single = index.searchAsync(request(1));
    assertEquals(2, index.stats().queued());
    engine.open();
    done(bulk);
    done(single);
    BatchingTest.await(() -> index.stats().queued() == 0);
  }

  @Test
  void othersWaitForOneSlice() throws Exception {
    VectorHandle first = index.add(new float[] {0});
    CompletableFuture<SearchResult> bulk = begun();
    CompletableFuture<SearchResult> single = index.searchAsync(request(1));
    engine.release();
    engine.awaitHeld(); // the single search, or the second slice
    if (engine.last("search").batch() == SLICE) {
      engine.release();
      engine.awaitHeld();
    }
    assertEquals(1, engine.last("search").batch());
    assertTrue(slices() <= 2, "slices before the single search: " + slices());
    engine.release();
    assertEquals(1, done(single).hitCount(0));
    assertFalse(bulk.isDone());

    engine.awaitHeld();
    long before = slices();
    CompletableFuture<VectorHandle> insert = index.addAsync(new float[] {7});
    CompletableFuture<Boolean> removal = index.removeAsync(first);
    engine.release();
    done(insert); // each waits for one slice at most: else these would not end
    if (engine.heldBefore(removal)) {
      engine.release();
    }
    assertTrue(done(removal));
    assertTrue(slices() <= before + 2, "slices before two changes: " + (slices() - before));
    assertFalse(bulk.isDone());

    engine.open();
    SearchResult result = done(bulk);
    assertEquals(QUERIES, result.queryCount());
    assertEquals(SLICE, result.execution().batchSize());
    for (int q = 0; q < QUERIES; q++) {
      assertEquals(1, result.hitCount(q)); // each query saw the one vector there was at its time
    }
    assertEquals(first.bits(), result.handleBits(0, 0));
    assertEquals(done(insert).bits(), result.handleBits(QUERIES - 1, 0));
    assertEquals(QUERIES / SLICE, slices());
  }

  @Test
  void answersStayWhenEverythingIsRemovedMeanwhile() throws Exception {
    VectorHandle only = index.add(new float[] {0});
    CompletableFuture<SearchResult> bulk = begun();
    CompletableFuture<Boolean> removal = index.removeAsync(only);
    engine.open();
    assertTrue(done(removal));
    SearchResult result = done(bulk);
    assertEquals(QUERIES, result.queryCount());
    assertEquals(1, result.hitCount(0));
    assertEquals(0, result.hitCount(QUERIES - 1));
  }

  @Test
  void laterQueriesSeeAllThatHasComeMeanwhile() throws Exception {
    index.add(new float[] {0});
    engine.hold("search");
    SearchRequest.Builder five = SearchRequest.builder().queries(batch(QUERIES)).topK(5);
    CompletableFuture<SearchResult> bulk = index.searchAsync(five.build());
    engine.awaitHeld();
    CompletableFuture<?> insert =
        CompletableFuture.runAsync(() -> index.addAll(batch(100)), Thread::startVirtualThread);
    BatchingTest.await(() -> index.stats().queued() == 2);
    engine.open();
    done(insert);
    SearchResult result = done(bulk);
    assertEquals(1, result.hitCount(0));
    assertEquals(0, result.distance(0, 0));
    for (int q = SLICE; q < QUERIES; q++) {
      assertEquals(5, result.hitCount(q));
      assertEquals(0, result.distance(q, 0));
      assertTrue(result.distance(q, 4) >= result.distance(q, 3));
    }
  }

  @Test
  void bulkSearchesTakeTurns() throws Exception {
    index.add(new float[] {0});
    CompletableFuture<SearchResult> one = begun();
    CompletableFuture<SearchResult> other = index.searchAsync(request(2 * SLICE));
    for (int slice = 0; !other.isDone(); slice++) {
      assertTrue(slice <= 5, "slices before the short one of two is done: " + slice);
      engine.release();
      if (slice < 4) {
        engine.awaitHeld();
      } else {
        done(other);
      }
    }
    assertFalse(one.isDone());
    engine.open();
    done(one);
    assertEquals(7, slices());
  }

  @Test
  void bulkSearchesCountAsQueuedUntilTheyEnd() throws Exception {
    FakeEngine small = new FakeEngine();
    try (AcceleratedVectorIndex full = index(small, 1)) {
      full.add(new float[] {0});
      small.hold("search");
      CompletableFuture<SearchResult> bulk = full.searchAsync(request(QUERIES));
      small.awaitHeld();
      ExecutionException refused =
          assertThrows(ExecutionException.class, () -> done(full.searchAsync(request(1))));
      assertInstanceOf(IndexBusyException.class, refused.getCause());
      bulk.cancel(false);
      small.open();
      BatchingTest.await(
          () -> !full.searchAsync(request(1)).handle((result, e) -> e != null).join());
    }
  }

  @Test
  void aCancelledBulkSearchTakesNoFurtherSlice() throws Exception {
    index.add(new float[] {0});
    CompletableFuture<SearchResult> bulk = begun();
    bulk.cancel(false);
    engine.open();
    assertEquals(1, done(index.searchAsync(request(1))).hitCount(0));
    assertEquals(1, slices());
  }

  @Test
  void closingEndsABulkSearchInItsSlice() throws Exception {
    index.add(new float[] {0});
    CompletableFuture<SearchResult> bulk = begun();
    index.close(); // the gate stays shut
    ExecutionException e = assertThrows(ExecutionException.class, () -> done(bulk));
    assertInstanceOf(IndexClosedException.class, e.getCause());
    assertEquals(1, slices());
  }

  @Test
  void aSliceIsAStepOfLongWork() throws Exception {
    VectorHandle removed = index.add(new float[] {0});
    index.add(new float[] {1});
    index.remove(removed);
    CompletableFuture<SearchResult> bulk = begun();
    CompletableFuture<?> compaction = index.compact();
    engine.release();
    engine.awaitHeld();
    engine.release();
    engine.awaitHeld();
    assertTrue(engine.count("compact") >= 1, "the compaction waits for the whole search");
    assertFalse(bulk.isDone());
    engine.open();
    done(bulk);
    done(compaction);
  }
}
