// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.IndexBusyException;
import dev.nearfield.Metric;
import dev.nearfield.NativeCallException;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.SearchTimeoutException;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandle;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.table.LiveRows;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Time-outs, cancelling, interrupts and a full queue. */
@Timeout(60)
class GivingUpTest {
  private final FakeEngine engine = new FakeEngine();
  private final AcceleratedVectorIndex index =
      new IndexBuilder(1, Metric.L2_SQUARED)
          .engine(engine)
          .batching(1, Duration.ZERO)
          .mailbox(3, Duration.ofMillis(50))
          .build();

  @AfterEach
  void close() {
    engine.open();
    index.close();
  }

  private static final SearchRequest ANY = request(null);

  private static SearchRequest request(Duration timeout) {
    SearchRequest.Builder builder = SearchRequest.builder().query(new float[] {0}).topK(1);
    return timeout == null ? builder.build() : builder.timeout(timeout).build();
  }

  private CompletableFuture<SearchResult> occupy() {
    index.add(new float[] {1});
    engine.hold("search");
    CompletableFuture<SearchResult> running = index.searchAsync(ANY);
    engine.awaitHeld();
    return running;
  }

  private static Throwable failure(CompletableFuture<?> future) throws Exception {
    return assertThrows(ExecutionException.class, () -> future.get(20, TimeUnit.SECONDS))
        .getCause();
  }

  @Test
  void aQueuedSearchTimesOutAndFreesItsPlace() throws Exception {
    CompletableFuture<SearchResult> running = occupy();
    CompletableFuture<SearchResult> queued = index.searchAsync(request(Duration.ofMillis(500)));
    assertEquals(1, index.stats().queued());
    assertInstanceOf(SearchTimeoutException.class, failure(queued));
    assertEquals(0, index.stats().queued());
    assertThrows(SearchTimeoutException.class, () -> index.search(request(Duration.ofMillis(30))));
    assertEquals(0, index.stats().queued());
    assertFalse(running.isDone());
    engine.open();
    assertEquals(1, running.get(20, TimeUnit.SECONDS).hitCount(0));
    assertEquals(1, engine.count("search"), "what timed out in the queue never reached the device");
  }

  @Test
  void aRunningSearchTimesOutAlthoughTheDeviceIsDeaf() throws Exception {
    index.add(new float[] {1});
    engine.deaf = true;
    engine.hold("search");
    CompletableFuture<SearchResult> running = index.searchAsync(request(Duration.ofMillis(50)));
    engine.awaitHeld();
    assertInstanceOf(SearchTimeoutException.class, failure(running));
    engine.open();
    assertEquals(1, index.search(ANY).hitCount(0));
  }

  @Test
  void aSearchThatHasTimedOutBeforeItIsQueuedSaysSo() {
    index.add(new float[] {1});
    assertThrows(SearchTimeoutException.class, () -> index.search(request(Duration.ofNanos(1))));
    assertEquals(1, index.search(ANY).hitCount(0));
  }

  @Test
  void cancellingAFutureReachesTheDevice() throws Exception {
    CompletableFuture<SearchResult> running = occupy();
    assertTrue(running.cancel(true));
    CompletableFuture<SearchResult> next = index.searchAsync(ANY);
    engine.awaitHeld(); // the held call was given up without being released
    engine.open();
    assertEquals(1, next.get(20, TimeUnit.SECONDS).hitCount(0));
  }

  @Test
  void completingAFutureOtherwiseReachesTheDeviceToo() throws Exception {
    CompletableFuture<SearchResult> running = occupy();
    running.completeExceptionally(new IllegalStateException("not wanted any more"));
    index.searchAsync(ANY);
    engine.awaitHeld();
  }

  @Test
  void aBatchGoesOnWhileOneOfItIsWanted() throws Exception {
    FakeEngine shared = new FakeEngine();
    try (AcceleratedVectorIndex other =
        new IndexBuilder(1, Metric.L2_SQUARED).engine(shared).batching(8, Duration.ZERO).build()) {
      other.add(new float[] {1});
      shared.hold("search");
      CompletableFuture<SearchResult> first = other.searchAsync(ANY);
      shared.awaitHeld();
      CompletableFuture<SearchResult> two = other.searchAsync(ANY);
      CompletableFuture<SearchResult> three = other.searchAsync(ANY);
      shared.release();
      first.get(20, TimeUnit.SECONDS);
      shared.awaitHeld();
      two.cancel(true);
      Thread.sleep(30);
      assertFalse(three.isDone());
      shared.open();
      assertEquals(2, three.get(20, TimeUnit.SECONDS).execution().batchSize());
    } finally {
      shared.open();
    }
  }

  @Test
  void anInterruptCancelsASearchAndStays() throws Exception {
    CompletableFuture<SearchResult> running = occupy();
    AtomicReference<Throwable> thrown = new AtomicReference<>();
    AtomicReference<Boolean> flag = new AtomicReference<>();
    for (Thread.Builder kind : new Thread.Builder[] {Thread.ofPlatform(), Thread.ofVirtual()}) {
      Thread caller =
          kind.start(
              () -> {
                try {
                  index.search(ANY);
                } catch (Throwable e) {
                  thrown.set(e);
                }
                flag.set(Thread.currentThread().isInterrupted());
              });
      BatchingTest.await(() -> index.stats().queued() == 1);
      caller.interrupt();
      caller.join();
      assertInstanceOf(CancellationException.class, thrown.get());
      assertEquals(true, flag.get());
      assertEquals(0, index.stats().queued());
    }
    assertFalse(running.isDone());
  }

  @Test
  void anInterruptedInsertStillInTheQueueIsNotDone() throws Exception {
    occupy();
    AtomicReference<Throwable> thrown = new AtomicReference<>();
    Thread caller =
        Thread.ofVirtual()
            .start(
                () ->
                    thrown.set(
                        assertThrows(RuntimeException.class, () -> index.add(new float[] {2}))));
    BatchingTest.await(() -> index.stats().queued() == 1);
    caller.interrupt();
    caller.join();
    assertInstanceOf(CancellationException.class, thrown.get());
    engine.open();
    index.search(ANY);
    assertEquals(1, index.stats().live());
  }

  @Test
  void anInsertThatTheDeviceFinishedAllTheSameGivesItsHandle() throws Exception {
    engine.deaf = true;
    engine.hold("add");
    AtomicReference<VectorHandle> handle = new AtomicReference<>();
    AtomicReference<Boolean> flag = new AtomicReference<>();
    Thread caller =
        Thread.ofPlatform()
            .start(
                () -> {
                  handle.set(index.add(new float[] {2}));
                  flag.set(Thread.currentThread().isInterrupted());
                });
    engine.awaitHeld();
    caller.interrupt();
    caller.join(50);
    assertTrue(caller.isAlive(), "only the device knows whether the vector is there");
    engine.open();
    caller.join();
    assertTrue(index.get(handle.get()).isPresent());
    assertEquals(true, flag.get());
  }

  @Test
  void anInsertThatTheDeviceGaveUpIsCancelled() throws Exception {
    engine.hold("add");
    AtomicReference<Throwable> thrown = new AtomicReference<>();
    Thread caller =
        Thread.ofPlatform()
            .start(
                () ->
                    thrown.set(
                        assertThrows(RuntimeException.class, () -> index.add(new float[] {2}))));
    engine.awaitHeld();
    caller.interrupt();
    caller.join();
    assertInstanceOf(CancellationException.class, thrown.get());
    engine.open();
    index.add(new float[] {3});
    assertEquals(1, index.stats().live());
  }

  @Test
  void aFullQueueMakesCallersWaitThenFail() throws Exception {
    CompletableFuture<SearchResult> running = occupy();
    for (int i = 0; i < 3; i++) {
      index.searchAsync(ANY);
    }
    IndexBusyException busy = assertThrows(IndexBusyException.class, () -> index.search(ANY));
    assertTrue(busy.getMessage().contains("[3]"), busy.getMessage());
    assertInstanceOf(IndexBusyException.class, failure(index.searchAsync(ANY)));
    assertThrows(IndexBusyException.class, () -> index.add(new float[] {1}));
    assertThrows(SearchTimeoutException.class, () -> index.search(request(Duration.ofMillis(5))));
    engine.open();
    running.get(20, TimeUnit.SECONDS);
    assertEquals(1, index.search(ANY).hitCount(0));
  }

  @Test
  void anInterruptEndsTheWaitForAPlace() throws Exception {
    occupy();
    for (int i = 0; i < 3; i++) {
      index.searchAsync(ANY);
    }
    Thread.currentThread().interrupt();
    assertThrows(CancellationException.class, () -> index.search(ANY));
    assertTrue(Thread.interrupted());
  }

  @Test
  void whatAnswersAFutureNeverWaitsForAPlace() throws Exception {
    VectorHandle handle = index.add(new float[] {2});
    occupy();
    for (int i = 0; i < 3; i++) {
      index.searchAsync(ANY);
    }
    for (CompletableFuture<?> refused :
        List.of(
            index.searchAsync(ANY),
            index.addAsync(new float[] {1}),
            index.removeAsync(handle),
            index.replaceAsync(handle, new float[] {1}),
            index.compact())) {
      assertTrue(refused.isCompletedExceptionally() || failure(refused) != null);
      assertInstanceOf(IndexBusyException.class, failure(refused));
    }
  }

  @Test
  void everyCallTimesOutInTheQueueAndThenNeverHappens() throws Exception {
    VectorHandle handle = index.add(new float[] {2});
    occupy();
    AcceleratedVectorIndex hasty = index.withTimeout(Duration.ofMillis(20));
    List<Runnable> calls =
        List.of(
            () -> hasty.add(new float[] {1}),
            () -> hasty.addAll(VectorBatch.of(new float[][] {{1}})),
            () -> hasty.addAll(VectorBatch.of(new float[LiveRows.chunkRows(1) + 1][1])),
            () -> hasty.remove(handle),
            () -> hasty.removeIf(any -> true),
            () -> hasty.replace(handle, new float[] {1}),
            () -> hasty.get(handle),
            () -> hasty.search(ANY));
    for (Runnable call : calls) {
      assertThrows(SearchTimeoutException.class, call::run);
    }
    assertInstanceOf(SearchTimeoutException.class, failure(hasty.compact()));
    assertInstanceOf(SearchTimeoutException.class, failure(hasty.addAsync(new float[] {1})));
    assertEquals(0, index.stats().queued());
    engine.open();
    assertEquals(2, index.stats().live());
    assertEquals(2, index.get(handle).orElseThrow().vector()[0]);
    assertThrows(IllegalArgumentException.class, () -> index.withTimeout(Duration.ZERO));
  }

  @Test
  void aBadVectorOfALargeInsertIsToldBeforeItsTurn() throws Exception {
    CompletableFuture<SearchResult> running = occupy();
    float[][] vectors = new float[LiveRows.chunkRows(1) + 1][1];
    vectors[1][0] = Float.NaN;
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> index.addAll(VectorBatch.of(vectors)));
    assertTrue(e.getMessage().contains("vector [1] has [NaN]"), e.getMessage());
    assertEquals(0, index.stats().queued());
    assertFalse(running.isDone());
  }

  @Test
  void aRequestsOwnTimeOutGoesBeforeTheIndexs() throws Exception {
    try (AcceleratedVectorIndex hasty =
        new IndexBuilder(1, Metric.L2_SQUARED)
            .engine(new FakeEngine())
            .timeout(Duration.ofNanos(1))
            .build()) {
      assertThrows(SearchTimeoutException.class, () -> hasty.add(new float[] {1}));
      hasty.withTimeout(Duration.ofSeconds(20)).add(new float[] {1});
      assertEquals(1, hasty.search(request(Duration.ofSeconds(20))).hitCount(0));
      assertThrows(SearchTimeoutException.class, () -> hasty.search(ANY));
    }
  }

  /** They went to the device together, failed together and are tried one by one. */
  @Test
  void anInsertThatIsGivenUpTakesNoOtherWithIt() throws Exception {
    occupy();
    CompletableFuture<VectorHandle> givenUp = index.addAsync(new float[] {5});
    CompletableFuture<VectorHandle> kept = index.addAsync(new float[] {6});
    engine.failing = "add";
    engine.failures.add(new DeviceOutOfMemoryException("full", 1, 0, 0));
    engine.hold("add");
    engine.release();
    engine.awaitHeld();
    givenUp.cancel(false);
    engine.open();
    assertEquals(6, index.get(kept.get(20, TimeUnit.SECONDS)).orElseThrow().vector()[0]);
  }

  @Test
  void changesWithoutWaiting() throws Exception {
    VectorHandle added = index.addAsync(new float[] {3}).get(20, TimeUnit.SECONDS);
    VectorHandle replaced =
        index.replaceAsync(added, new float[] {4}).get(20, TimeUnit.SECONDS).orElseThrow();
    assertEquals(4, index.get(replaced).orElseThrow().vector()[0]);
    assertTrue(index.replaceAsync(added, new float[] {5}).get(20, TimeUnit.SECONDS).isEmpty());
    assertTrue(index.removeAsync(replaced).get(20, TimeUnit.SECONDS));
    assertFalse(index.removeAsync(replaced).get(20, TimeUnit.SECONDS));
    assertThrows(IllegalArgumentException.class, () -> index.addAsync(new float[] {Float.NaN}));
  }

  @Test
  void aCancelledChangeLeavesTheQueue() throws Exception {
    VectorHandle kept = index.add(new float[] {2});
    occupy();
    CompletableFuture<Boolean> removal = index.removeAsync(kept);
    assertEquals(1, index.stats().queued());
    removal.cancel(false);
    assertEquals(0, index.stats().queued());
    engine.open();
    assertTrue(index.get(kept).isPresent());
  }

  @Test
  void theFailureOnTheCallersThreadNamesTheCaller() {
    index.add(new float[] {1});
    engine.failing = "search";
    NativeCallException original = new NativeCallException(13, "nf_index_search", "a sentence");
    engine.failures.add(original);
    NativeCallException thrown = assertThrows(NativeCallException.class, () -> index.search(ANY));
    assertEquals("a sentence", thrown.getMessage());
    assertSame(original, thrown.getSuppressed()[0]);
    assertTrue(
        java.util.Arrays.stream(thrown.getStackTrace())
            .anyMatch(frame -> frame.getClassName().equals(GivingUpTest.class.getName())));
    assertEquals(1, index.search(ANY).hitCount(0), "the index is unharmed");
  }
}
