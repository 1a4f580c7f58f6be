// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.HandleSet;
import dev.nearfield.Hit;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandle;
import dev.nearfield.VectorHandles;
import dev.nearfield.internal.engine.FakeEngine;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What waits together goes to the device together, and comes back apart. */
@Timeout(60)
public class BatchingTest {
  private final FakeEngine engine = new FakeEngine();
  private final AcceleratedVectorIndex index =
      new IndexBuilder(1, Metric.L2_SQUARED).engine(engine).batching(64, Duration.ZERO).build();

  @AfterEach
  void close() {
    engine.open();
    index.close();
    assertEquals(1, engine.closed.get());
    assertEquals(1, engine.indexesClosed.get());
  }

  private static SearchRequest.Builder near(float query, int k) {
    return SearchRequest.builder().query(new float[] {query}).topK(k);
  }

  private VectorHandles fill(int count) {
    float[][] rows = new float[count][];
    for (int i = 0; i < count; i++) {
      rows[i] = new float[] {i};
    }
    return index.addAll(VectorBatch.of(rows));
  }

  /** Occupies the device with a search until the gate opens. */
  private CompletableFuture<SearchResult> occupy() {
    engine.hold("search");
    CompletableFuture<SearchResult> first = index.searchAsync(near(0, 1).build());
    engine.awaitHeld();
    return first;
  }

  private static List<Float> distances(SearchResult result) {
    return result.hits(0).stream().map(Hit::distance).toList();
  }

  @Test
  void queuedSearchesShareOneBatchWhateverTheirKFilterAndLimit() throws Exception {
    VectorHandles all = fill(10);
    CompletableFuture<SearchResult> first = occupy();
    HandleSet some = HandleSet.of(all.bits(2), all.bits(8));
    List<CompletableFuture<SearchResult>> waiting = new ArrayList<>();
    waiting.add(index.searchAsync(near(0, 1).build()));
    waiting.add(index.searchAsync(near(0, 5).build()));
    waiting.add(index.searchAsync(near(0, 5).filter(some).build()));
    waiting.add(index.searchAsync(near(0, 5).filter(some).maxDistance(10).build()));
    waiting.add(index.searchAsync(near(0, 9).minScore(0.2f).build()));
    assertEquals(5, index.stats().queued());
    engine.open();
    first.get(10, TimeUnit.SECONDS);
    assertEquals(List.of(0f), distances(waiting.get(0).get(10, TimeUnit.SECONDS)));
    assertEquals(List.of(0f, 1f, 4f, 9f, 16f), distances(waiting.get(1).get(10, TimeUnit.SECONDS)));
    assertEquals(List.of(4f, 64f), distances(waiting.get(2).get(10, TimeUnit.SECONDS)));
    assertEquals(List.of(4f), distances(waiting.get(3).get(10, TimeUnit.SECONDS)));
    assertEquals(List.of(0f, 1f, 4f), distances(waiting.get(4).get(10, TimeUnit.SECONDS)));
    FakeEngine.Call batch = engine.last("search");
    assertEquals(5, batch.batch());
    assertEquals(9, batch.k(), "the largest k serves all");
    assertEquals(1, batch.filters(), "a set used twice is sent once");
    assertEquals(5, waiting.get(0).get().execution().batchSize());
    assertEquals(1, first.get().execution().batchSize());
    assertEquals(6, index.stats().queries());
    assertEquals(2, index.stats().batches());
  }

  @Test
  void aLargeKDoesNotSlowDownSmallOnes() throws Exception {
    fill(2000);
    CompletableFuture<SearchResult> first = occupy();
    CompletableFuture<SearchResult> small = index.searchAsync(near(0, 3).build());
    CompletableFuture<SearchResult> large = index.searchAsync(near(0, 1500).build());
    CompletableFuture<SearchResult> small2 = index.searchAsync(near(0, 100).build());
    engine.open();
    CompletableFuture.allOf(first, small, large, small2).get(10, TimeUnit.SECONDS);
    assertEquals(
        List.of(1, 100, 1500),
        engine.calls.stream()
            .filter(c -> c.operation().equals("search"))
            .map(FakeEngine.Call::k)
            .toList());
    assertEquals(2, small.get().execution().batchSize());
    assertEquals(1500, large.get().hitCount(0));
  }

  @Test
  void searchesDoNotOvertakeChanges() throws Exception {
    VectorHandles all = fill(3);
    CompletableFuture<SearchResult> first = occupy();
    CompletableFuture<SearchResult> before = index.searchAsync(near(0, 1).build());
    Thread remover = Thread.ofVirtual().start(() -> index.remove(all.get(0)));
    await(() -> index.stats().queued() == 2);
    CompletableFuture<SearchResult> after = index.searchAsync(near(0, 1).build());
    engine.open();
    assertEquals(List.of(0f), distances(first.get(10, TimeUnit.SECONDS)));
    assertEquals(List.of(0f), distances(before.get(10, TimeUnit.SECONDS)));
    assertEquals(List.of(1f), distances(after.get(10, TimeUnit.SECONDS)));
    remover.join();
  }

  @Test
  void queuedAddsShareOneCall() throws Exception {
    fill(1);
    CompletableFuture<SearchResult> first = occupy();
    List<CompletableFuture<VectorHandle>> adds = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      float value = 10 + i;
      CompletableFuture<VectorHandle> answer = new CompletableFuture<>();
      Thread.startVirtualThread(() -> answer.complete(index.add(new float[] {value})));
      adds.add(answer);
    }
    await(() -> index.stats().queued() == 5);
    engine.open();
    first.get(10, TimeUnit.SECONDS);
    for (int i = 0; i < 5; i++) {
      VectorHandle handle = adds.get(i).get(10, TimeUnit.SECONDS);
      assertEquals(10 + i, index.get(handle).orElseThrow().vector()[0]);
    }
    assertEquals(2, engine.count("add"));
    assertEquals(5, engine.last("add").batch());
  }

  @Test
  void whenASharedInsertFailsEachIsTriedAlone() throws Exception {
    fill(1);
    CompletableFuture<SearchResult> first = occupy();
    List<CompletableFuture<VectorHandle>> adds = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      float value = 10 + i;
      adds.add(
          CompletableFuture.supplyAsync(
              () -> index.add(new float[] {value}), Thread::startVirtualThread));
    }
    await(() -> index.stats().queued() == 3);
    engine.failing = "add";
    engine.failures.add(new DeviceOutOfMemoryException("all three", 1, 2, 3));
    engine.failures.add(new DeviceOutOfMemoryException("one of them", 1, 2, 3));
    engine.open();
    first.get(10, TimeUnit.SECONDS);
    int failed = 0;
    for (CompletableFuture<VectorHandle> add : adds) {
      try {
        add.get(10, TimeUnit.SECONDS);
      } catch (ExecutionException e) {
        assertInstanceOf(DeviceOutOfMemoryException.class, e.getCause());
        assertEquals("one of them", e.getCause().getMessage());
        failed++;
      }
    }
    assertEquals(1, failed);
    assertEquals(3, index.stats().live());
  }

  @Test
  void aForeignHandleFailsOnlyItsOwnSearch() throws Exception {
    fill(3);
    assertThrows(
        IllegalArgumentException.class,
        () -> index.searchAsync(near(0, 1).filter(HandleSet.of(12345678901L)).build()),
        "a caller's mistake is thrown at the call");
  }

  @Test
  void allWorkIsDoneByOneThread() {
    fill(3);
    index.search(near(0, 1).build());
    assertEquals(1, engine.calls.stream().map(FakeEngine.Call::thread).distinct().count());
    assertFalse(engine.calls.getFirst().thread().isVirtual());
    assertTrue(engine.calls.getFirst().thread().isDaemon());
  }

  @Test
  void afterABatchOfSeveralTheOwnerWaitsALittleForTheSameClients() throws Exception {
    int together = 0;
    for (int attempt = 0;
        attempt < 5 && together < 2;
        attempt++) { // a loaded machine may stall longer than the wait
      together = batchAfterAPairOfOneSecond();
    }
    assertEquals(2, together, "the first did not wait for the second");
  }

  private static int batchAfterAPairOfOneSecond() throws Exception {
    FakeEngine slow = new FakeEngine();
    try (AcceleratedVectorIndex lingering =
        new IndexBuilder(1, Metric.L2_SQUARED)
            .engine(slow)
            .batching(64, Duration.ofSeconds(5))
            .build()) {
      lingering.add(new float[] {1});
      slow.hold("search");
      CompletableFuture<SearchResult> first = lingering.searchAsync(near(0, 1).build());
      slow.awaitHeld();
      CompletableFuture<?> pair =
          CompletableFuture.allOf(
              lingering.searchAsync(near(0, 1).build()), lingering.searchAsync(near(0, 1).build()));
      slow.release();
      first.get(10, TimeUnit.SECONDS);
      slow.awaitHeld();
      Thread.sleep(1000); // so that the owner may wait 50 ms afterwards
      slow.open();
      pair.get(10, TimeUnit.SECONDS);
      CompletableFuture<SearchResult> one = lingering.searchAsync(near(0, 1).build());
      Thread.sleep(5); // without the wait, the first would be alone by now
      lingering.searchAsync(near(0, 1).build()).get(10, TimeUnit.SECONDS);
      return one.get(10, TimeUnit.SECONDS).execution().batchSize();
    } finally {
      slow.open();
    }
  }

  public static void await(java.util.function.BooleanSupplier condition) {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (!condition.getAsBoolean()) {
      assertTrue(System.nanoTime() < end, "the condition did not come true within 20 s");
      Thread.onSpinWait();
      Thread.yield();
    }
  }
}
