// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.move;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.BackendKind;
import dev.nearfield.BackendUnavailableException;
import dev.nearfield.CompactionReport;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.FallbackReason;
import dev.nearfield.Hit;
import dev.nearfield.IndexSpec;
import dev.nearfield.Metric;
import dev.nearfield.Placement;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.SearchTimeoutException;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandle;
import dev.nearfield.VectorHandles;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.index.BatchingTest;
import dev.nearfield.internal.index.IndexBuilder;
import dev.nearfield.internal.plain.JavaRows;
import dev.nearfield.internal.table.HandleBits;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.value.DeviceInfo;
import dev.nearfield.internal.value.PlacementInfo;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Moves between devices: because a better one is there, or because the present one is full. */
@Timeout(60)
class MoveTest {
  private static final int DIM = 1024;

  /**
   * Several chunks of an insert; fills slabs of the engine to the last row, so the next one grows
   * it.
   */
  private static final int CHUNKS = JavaRows.slabRows(DIM);

  /** So that handles follow in many steps. */
  private static final int STEP = 5000;

  private static FakeEngine engine(int ordinal) {
    return new FakeEngine(new DeviceInfo(BackendKind.CUDA, ordinal, "fake", "none", 1000, false));
  }

  /** Answers fresh fake devices, one after the other. */
  private static class Route implements Elsewhere {
    final List<FakeEngine> engines = new ArrayList<>();
    final Optional<FallbackReason> fallback;
    volatile RuntimeException broken;

    Route(FallbackReason fallback) {
      this.fallback = Optional.ofNullable(fallback);
    }

    @Override
    public synchronized Destination better(Placement now) {
      if (broken != null) {
        throw broken;
      }
      FakeEngine next = engine(100 + engines.size());
      engines.add(next);
      return new Destination(
          DeviceOwner.of(next),
          new PlacementInfo(next.device(), fallback, List.of()),
          new IndexConfig(
              DIM, Metric.L2_SQUARED, IndexSpec.flat(), null, 0, 0, 0, 0, 64, 0, 64, 0, 1, null));
    }

    @Override
    public boolean hasRoomier(Placement now) {
      return now.fallback().isEmpty();
    }

    @Override
    public Destination roomier(Placement now) {
      return better(now);
    }
  }

  private final FakeEngine first = engine(0);
  private final List<String> heard = new java.util.concurrent.CopyOnWriteArrayList<>();
  private AcceleratedVectorIndex index;

  private void build(Route route) {
    index =
        new IndexBuilder(DIM, Metric.L2_SQUARED)
            .engine(first)
            .elsewhere(route)
            .stepRows(STEP)
            .autoCompaction(1)
            .listener(
                (operation, reason, cause) -> heard.add(operation + " " + reason + " " + cause))
            .build();
  }

  @AfterEach
  void close() {
    first.open();
    index.close();
    BatchingTest.await(() -> first.closed.get() == 1);
    assertEquals(1, first.indexesClosed.get());
  }

  private static float[] vector(int value) {
    float[] vector = new float[DIM];
    vector[0] = value;
    return vector;
  }

  private static VectorBatch numbers(int count) {
    float[][] rows = new float[count][];
    for (int i = 0; i < count; i++) {
      rows[i] = vector(i);
    }
    return VectorBatch.of(rows);
  }

  private static SearchRequest nearest(int value, int k) {
    return SearchRequest.builder().query(vector(value)).topK(k).build();
  }

  @Test
  void handlesAndOrderSurviveAMove() throws Exception {
    Route route = new Route(null);
    build(route);
    int count = CHUNKS + CHUNKS / 2;
    VectorHandles handles = index.addAll(numbers(count));
    assertEquals(count / 2, index.removeIf(h -> HandleBits.slot(h.bits()) % 2 == 1));
    Placement placement = index.retryAcceleration().get(20, TimeUnit.SECONDS);
    FakeEngine second = route.engines.getFirst();
    assertEquals(second.device(), placement.device());
    assertEquals(placement, index.placement());
    assertEquals(count - count / 2, index.stats().live());
    assertEquals(0, index.stats().deleted(), "removed vectors stay behind");
    SearchResult result = index.search(nearest(0, 3));
    assertEquals(second.device(), result.execution().device());
    assertEquals(
        List.of(handles.get(0), handles.get(2), handles.get(4)),
        result.hits(0).stream().map(Hit::handle).toList());
    for (int i = 0; i < count; i += 97) {
      assertEquals(i % 2 == 0, index.get(handles.get(i)).isPresent());
    }
    assertEquals(
        count - 1,
        index.get(handles.get(count - 1)).map(v -> (int) v.vector()[0]).orElse(count - 1));
    BatchingTest.await(() -> first.closed.get() == 1);
    index.add(vector(-1));
    index.remove(handles.get(0));
    index.compact().get(20, TimeUnit.SECONDS);
    assertEquals(1, index.search(nearest(0, 1)).distance(0, 0));
    index.close();
    assertEquals(1, second.closed.get());
    assertEquals(1, second.indexesClosed.get());
  }

  @Test
  void anEmptyIndexMovesToo() throws Exception {
    Route route = new Route(null);
    build(route);
    index.retryAcceleration().get(20, TimeUnit.SECONDS);
    index.retryAcceleration().get(20, TimeUnit.SECONDS);
    assertEquals(route.engines.get(1).device(), index.placement().device());
    index.add(vector(1));
    assertEquals(1, index.search(nearest(0, 5)).hitCount(0));
  }

  @Test
  void whenTheDeviceIsFullTheIndexFallsBackAndSaysSo() throws Exception {
    Route route = new Route(FallbackReason.MEMORY_BUDGET);
    build(route);
    VectorHandle before = index.add(vector(1));
    first.freeBytes = 0;
    VectorHandles many = index.addAll(numbers(2 * CHUNKS));
    assertEquals(2 * CHUNKS + 1, index.stats().live());
    assertTrue(index.get(before).isPresent());
    assertTrue(index.get(many.get(2 * CHUNKS - 1)).isPresent());
    SearchResult result = index.search(nearest(0, 1));
    assertEquals(FallbackReason.MEMORY_BUDGET, result.execution().fallback().orElseThrow());
    assertEquals(route.engines.getFirst().device(), result.execution().device());
    assertEquals(1L, index.stats().fallbacks().get(FallbackReason.MEMORY_BUDGET));
    BatchingTest.await(() -> heard.size() == 1);
    assertTrue(heard.getFirst().startsWith("add MEMORY_BUDGET"), heard.toString());
    assertTrue(heard.getFirst().contains("DeviceOutOfMemoryException"), heard.toString());
  }

  @Test
  void aMoveThatWaitsForTooLongIsNotBegun() throws Exception {
    Route route = new Route(null);
    build(route);
    index.add(vector(1));
    first.hold("search");
    CompletableFuture<SearchResult> running = index.searchAsync(nearest(1, 1));
    first.awaitHeld();
    CompletableFuture<Placement> move =
        index.withTimeout(Duration.ofMillis(300)).retryAcceleration();
    ExecutionException e =
        assertThrows(ExecutionException.class, () -> move.get(20, TimeUnit.SECONDS));
    assertInstanceOf(SearchTimeoutException.class, e.getCause());
    assertTrue(e.getCause().getMessage().contains("[PT0.3S]"), e.getCause().getMessage());
    BatchingTest.await(() -> route.engines.getFirst().closed.get() == 1);
    assertEquals(0, index.stats().queued());
    first.open();
    running.get(20, TimeUnit.SECONDS);
    assertEquals(first.device(), index.placement().device());
  }

  @Test
  void smallInsertsWaitForRoomToo() throws Exception {
    Route route = new Route(FallbackReason.MEMORY_BUDGET);
    build(route);
    first.freeBytes = 0;
    List<CompletableFuture<VectorHandle>> adds = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      float[] value = vector(i);
      adds.add(CompletableFuture.supplyAsync(() -> index.add(value), Thread::startVirtualThread));
    }
    for (int i = 0; i < 8; i++) {
      assertEquals(i, index.get(adds.get(i).get(20, TimeUnit.SECONDS)).orElseThrow().vector()[0]);
    }
    assertEquals(1, route.engines.size());
  }

  @Test
  void aLargeInsertUnderWayIsFinishedBeforeTheMove() throws Exception {
    Route route = new Route(FallbackReason.MEMORY_BUDGET);
    build(route);
    index.addAll(
        numbers(CHUNKS / 2)); // the first chunk of the next fills a slab, and so does its last
    int large = 5 * CHUNKS / 2;
    first.hold("add");
    CompletableFuture<VectorHandles> insert =
        CompletableFuture.supplyAsync(
            () -> index.addAll(numbers(large)), Thread::startVirtualThread);
    first.awaitHeld();
    first.freeBytes = 0;
    CompletableFuture<VectorHandle> small =
        CompletableFuture.supplyAsync(() -> index.add(vector(-5)), Thread::startVirtualThread);
    BatchingTest.await(() -> index.stats().queued() == 1);
    first.open();
    VectorHandles handles = insert.get(20, TimeUnit.SECONDS);
    assertEquals(-5, index.get(small.get(20, TimeUnit.SECONDS)).orElseThrow().vector()[0]);
    for (int i = 0; i < large; i += 101) {
      assertEquals(i, index.get(handles.get(i)).orElseThrow().vector()[0]);
    }
    assertEquals(3 * CHUNKS + 1, index.stats().live());
    assertEquals(route.engines.getFirst().device(), index.placement().device());
  }

  @Test
  void aCompactionUnderWayIsDoneAgainAfterTheMove() throws Exception {
    Route route = new Route(FallbackReason.MEMORY_BUDGET);
    build(route);
    VectorHandles handles = index.addAll(numbers(CHUNKS));
    index.remove(handles.get(0));
    first.compactSlices = Integer.MAX_VALUE;
    CompletableFuture<CompactionReport> compaction = index.compact();
    BatchingTest.await(() -> first.count("compact") > 1);
    first.freeBytes = 0;
    index.add(vector(1));
    compaction.get(20, TimeUnit.SECONDS);
    assertEquals(CHUNKS, index.stats().live());
    assertEquals(0, index.stats().deleted());
    assertEquals(CHUNKS - 1, index.get(handles.get(CHUNKS - 1)).orElseThrow().vector()[0]);
  }

  /** Until then slots carry old and new row numbers, of which another device knows neither. */
  @Test
  void aFullDeviceIsLeftOnlyWhenHandlesHaveFollowedACompaction() throws Exception {
    Route route = new Route(FallbackReason.MEMORY_BUDGET);
    build(route);
    VectorHandles handles = index.addAll(numbers(CHUNKS));
    for (int i = 0; i < 10; i++) {
      index.remove(handles.get(i));
    }
    first.hold("compact");
    CompletableFuture<CompactionReport> compaction = index.compact();
    int steps = (CHUNKS + STEP - 1) / STEP;
    for (int i = 1; i < steps; i++) {
      first.awaitHeld();
      first.release();
    }
    first.awaitHeld(); // the last step; slots are renumbered after it
    first.freeBytes = 0;
    CompletableFuture<VectorHandles> insert =
        CompletableFuture.supplyAsync(() -> index.addAll(numbers(20)), Thread::startVirtualThread);
    BatchingTest.await(() -> index.stats().queued() == 1);
    first.open();
    VectorHandles added = insert.get(20, TimeUnit.SECONDS);
    compaction.get(20, TimeUnit.SECONDS);
    assertEquals(route.engines.getFirst().device(), index.placement().device());
    for (int i = 10; i < CHUNKS; i++) {
      assertEquals(i, index.get(handles.get(i)).orElseThrow().vector()[0]);
    }
    assertEquals(19, index.get(added.get(19)).orElseThrow().vector()[0]);
    assertEquals(CHUNKS + 10, index.stats().live());
  }

  @Test
  void anInsertThatWaitsForRoomCanBeGivenUp() throws Exception {
    Route route = new Route(FallbackReason.MEMORY_BUDGET);
    build(route);
    index.addAll(numbers(CHUNKS / 2)); // the first chunk of the next fills a slab
    first.hold("add");
    CompletableFuture<VectorHandles> large =
        CompletableFuture.supplyAsync(
            () -> index.addAll(numbers(3 * CHUNKS / 2)), Thread::startVirtualThread);
    first.awaitHeld();
    first.freeBytes = 0;
    CompletableFuture<VectorHandle> small =
        index.withTimeout(Duration.ofMillis(50)).addAsync(vector(-5));
    first.release();
    first.awaitHeld(); // the second chunk; the small insert has found no room and waits
    Thread.sleep(100); // its time is over then
    first.release();
    ExecutionException late =
        assertThrows(ExecutionException.class, () -> small.get(20, TimeUnit.SECONDS));
    assertInstanceOf(SearchTimeoutException.class, late.getCause());
    first.awaitHeld(); // the large insert is still at it
    first.open();
    large.get(20, TimeUnit.SECONDS);
    assertEquals(2 * CHUNKS, index.stats().live());
  }

  @Test
  void withoutRoomElsewhereTheInsertFailsAsItWouldHave() {
    Route route = new Route(FallbackReason.MEMORY_BUDGET);
    route.broken = new BackendUnavailableException("nothing else is here", List.of());
    build(route);
    first.freeBytes = 0;
    DeviceOutOfMemoryException small =
        assertThrows(DeviceOutOfMemoryException.class, () -> index.add(vector(1)));
    assertEquals("nothing else is here", small.getSuppressed()[0].getSuppressed()[0].getMessage());
    assertThrows(DeviceOutOfMemoryException.class, () -> index.addAll(numbers(2 * CHUNKS)));
    assertEquals(0, index.stats().live());
    first.freeBytes = -1;
    index.add(vector(1));
    assertEquals(first.device(), index.placement().device());
  }

  @Test
  void aMoveThatFailsLeavesTheIndexWhereItWas() throws Exception {
    Route route =
        new Route(null) {
          @Override
          public synchronized Destination better(Placement now) {
            Destination to = super.better(now);
            engines.getLast().failing = "add";
            engines
                .getLast()
                .failures
                .add(new DeviceOutOfMemoryException("full over there", 1, 0, 1));
            return to;
          }
        };
    build(route);
    VectorHandle handle = index.add(vector(1));
    CompletableFuture<Placement> move = index.retryAcceleration();
    assertInstanceOf(
        DeviceOutOfMemoryException.class,
        assertThrows(ExecutionException.class, () -> move.get(20, TimeUnit.SECONDS)).getCause());
    assertEquals(first.device(), index.placement().device());
    assertTrue(index.get(handle).isPresent());
    assertEquals(1, index.search(nearest(0, 1)).hitCount(0));
    BatchingTest.await(() -> route.engines.getFirst().closed.get() == 1);
    assertEquals(1, route.engines.getFirst().indexesClosed.get());
  }

  @Test
  void closingDuringAMoveClosesBothPlaces() throws Exception {
    Route route =
        new Route(null) {
          @Override
          public synchronized Destination better(Placement now) {
            Destination to = super.better(now);
            engines.getLast().hold("add");
            return to;
          }
        };
    build(route);
    index.addAll(numbers(2 * CHUNKS));
    CompletableFuture<Placement> move = index.retryAcceleration();
    BatchingTest.await(() -> route.engines.size() == 1);
    FakeEngine second = route.engines.getFirst();
    second.awaitHeld();
    Thread closer = Thread.ofPlatform().start(index::close);
    CompletableFuture<SearchResult> refused = index.searchAsync(nearest(0, 1));
    second.open();
    closer.join();
    assertThrows(ExecutionException.class, () -> move.get(20, TimeUnit.SECONDS));
    assertThrows(ExecutionException.class, () -> refused.get(20, TimeUnit.SECONDS));
    BatchingTest.await(() -> second.closed.get() == 1);
    assertEquals(1, second.indexesClosed.get());
  }

  @Test
  void nothingIsLostWhileAnIndexWanders() throws Exception {
    Route route = new Route(null);
    build(route);
    index.addAll(numbers(100));
    AtomicBoolean stop = new AtomicBoolean();
    AtomicInteger answered = new AtomicInteger();
    List<CompletableFuture<Void>> clients = new ArrayList<>();
    for (int c = 0; c < 4; c++) {
      clients.add(
          CompletableFuture.runAsync(
              () -> {
                while (!stop.get()) {
                  VectorHandle mine = index.add(vector(1000));
                  assertEquals(100, index.search(nearest(0, 100)).hitCount(0));
                  assertTrue(index.remove(mine));
                  answered.incrementAndGet();
                }
              },
              Thread::startVirtualThread));
    }
    for (int move = 0; move < 20; move++) {
      int before = answered.get();
      index.retryAcceleration().get(20, TimeUnit.SECONDS);
      BatchingTest.await(
          () -> answered.get() > before || clients.stream().anyMatch(CompletableFuture::isDone));
    }
    stop.set(true);
    CompletableFuture.allOf(clients.toArray(CompletableFuture[]::new)).get(20, TimeUnit.SECONDS);
    assertEquals(100, index.stats().live());
    index.close();
    BatchingTest.await(() -> route.engines.stream().allMatch(e -> e.closed.get() == 1));
  }
}
