// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.BackendKind;
import dev.nearfield.Device;
import dev.nearfield.DeviceLostException;
import dev.nearfield.FallbackReason;
import dev.nearfield.KnnResult;
import dev.nearfield.Metric;
import dev.nearfield.SearchTimeoutException;
import dev.nearfield.Seed;
import dev.nearfield.Together;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorIndexException;
import dev.nearfield.internal.device.IndexTargets;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineTest;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.plain.JavaEngine;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.OwnerCall;
import dev.nearfield.internal.value.DeviceInfo;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A stateless search in pieces and in turns. */
@Timeout(60)
class KnnCallTest {
  private static final int ROWS = 100;
  private static final int PIECE_ROWS = 25;

  /** Row i is the number i. */
  private static final VectorBatch LINE = VectorBatch.of(line());

  private static final VectorBatch QUERY = VectorBatch.of(new float[][] {{41.2f}});

  private final AtomicReference<Thread> caller = new AtomicReference<>();
  private final FakeEngine engine = new FakeEngine();
  private final DeviceOwner owner = DeviceOwner.of(engine);

  private static float[][] line() {
    float[][] line = new float[ROWS][1];
    for (int i = 0; i < ROWS; i++) {
      line[i][0] = i;
    }
    return line;
  }

  @AfterEach
  void close() {
    engine.open();
    owner.release();
    assertEquals(engine.count("knn"), engine.knnsClosed.get());
  }

  private KnnResult search(VectorBatch dataset, Duration timeout) {
    return KnnJob.with(
        Metric.L2_SQUARED,
        dataset,
        QUERY,
        3,
        PIECE_ROWS * Float.BYTES,
        job -> job.on(owner, engine.device(), Optional.empty(), timeout));
  }

  private KnnResult search() {
    return search(LINE, null);
  }

  private static void check(KnnResult result) {
    assertEquals(3, result.hitCount(0));
    assertEquals(41, result.row(0, 0));
    assertEquals(42, result.row(0, 1));
    assertEquals(40, result.row(0, 2));
  }

  private List<Integer> offered() {
    return engine.calls.stream()
        .filter(call -> call.operation().equals("knnStep"))
        .map(FakeEngine.Call::batch)
        .toList();
  }

  private static void outlastTheTurn() throws InterruptedException {
    Thread.sleep(Duration.ofNanos(2 * DeviceOwner.TURN_NANOS));
  }

  @Test
  void everyStepIsOfferedTheRestOfItsPiece() {
    engine.knnRows = 10;
    check(search());
    assertEquals(List.of(25, 15, 5, 25, 15, 5, 25, 15, 5, 25, 15, 5), offered());
    assertEquals(1, engine.count("knn"));
  }

  @Test
  void othersWaitForOneStep() throws Exception {
    engine.knnRows = 10;
    engine.hold("knnStep");
    CompletableFuture<Void> searching = Together.start(() -> check(search()));
    engine.awaitHeld();
    CompletableFuture<Void> other = queueAnother();
    outlastTheTurn();
    engine.release();
    engine.awaitHeld(); // the second step
    other.get(20, TimeUnit.SECONDS);
    assertEquals(
        List.of("knn", "knnStep", "create", "knnStep"),
        engine.calls.stream().map(FakeEngine.Call::operation).toList());
    engine.open();
    searching.get(20, TimeUnit.SECONDS);
  }

  /** A call that waits for the device when this returns. */
  private CompletableFuture<Void> queueAnother() {
    AtomicReference<Thread> thread = new AtomicReference<>();
    CompletableFuture<Void> other =
        Together.start(
            () -> {
              thread.set(Thread.currentThread());
              create();
            });
    BatchingTest.await(
        () -> thread.get() != null && thread.get().getState() == Thread.State.WAITING);
    return other;
  }

  /** The caller has asked the device to stop when this returns. */
  private void interruptCaller() throws InterruptedException {
    caller.get().interrupt();
    BatchingTest.await(() -> !caller.get().isInterrupted());
    Thread.sleep(20); // for the line after the flag was cleared
  }

  private void create() {
    OwnerCall.run(
        owner,
        "create",
        null,
        (e, scratch, control) -> {
          e.createIndex(new Engine.IndexOptions(1, Metric.DOT, 0, 0, 0), control).close();
          return 0;
        });
  }

  private CompletableFuture<Void> searchUntil(Class<? extends Throwable> end) {
    return Together.start(
        () -> {
          caller.set(Thread.currentThread());
          assertThrows(end, this::search);
          assertEquals(end == CancellationException.class, Thread.interrupted());
        });
  }

  @Test
  void anInterruptEndsTheStep() throws Exception {
    engine.hold("knnStep");
    CompletableFuture<Void> searching = searchUntil(CancellationException.class);
    engine.awaitHeld();
    caller.get().interrupt();
    searching.get(20, TimeUnit.SECONDS);
    engine.open();
    assertEquals(1, offered().size());
    check(search());
  }

  @Test
  void anInterruptBetweenTwoTurnsIsSeenBeforeTheNextStep() throws Exception {
    engine.knnRows = 10;
    engine.hold("knnStep");
    CompletableFuture<Void> searching = searchUntil(CancellationException.class);
    engine.awaitHeld();
    CompletableFuture<Void> other = queueAnother();
    outlastTheTurn();
    engine.hold("create");
    engine.release();
    engine.awaitHeld(); // the other has its turn
    interruptCaller();
    assertEquals(false, searching.isDone(), "only the device knows what it touches");
    engine.open();
    searching.get(20, TimeUnit.SECONDS);
    other.get(20, TimeUnit.SECONDS);
    assertEquals(1, offered().size());
  }

  @Test
  void anInterruptBeforehandReachesNoDevice() {
    Thread.currentThread().interrupt();
    assertThrows(CancellationException.class, this::search);
    assertTrue(Thread.interrupted());
    assertEquals(List.of(), engine.calls);
  }

  /** They share a cancel word. */
  @Test
  void cancellingOneLeavesTheOthers() throws Exception {
    engine.knnRows = 1;
    engine.hold("knnStep");
    CompletableFuture<Void> first = searchUntil(CancellationException.class);
    engine.awaitHeld();
    List<CompletableFuture<Void>> others = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      others.add(Together.start(() -> check(search())));
    }
    outlastTheTurn();
    engine.release();
    engine.awaitHeld(); // another's step
    interruptCaller();
    engine.open();
    first.get(20, TimeUnit.SECONDS);
    for (CompletableFuture<Void> other : others) {
      other.get(20, TimeUnit.SECONDS);
    }
  }

  @Test
  void aTimeOutEndsTheStep() {
    engine.hold("knnStep");
    SearchTimeoutException e =
        assertThrows(SearchTimeoutException.class, () -> search(LINE, Duration.ofMillis(50)));
    assertTrue(e.getMessage().contains("[PT0.05S]"), e.getMessage());
    engine.open();
    check(search(LINE, Duration.ofMinutes(1)));
  }

  @Test
  void aDatasetThatIsFreedBeforeTheFirstTurnWaitsForNoDevice() throws Exception {
    engine.hold("create");
    CompletableFuture<Void> other = Together.start(this::create);
    engine.awaitHeld();
    VectorBatch dataset;
    try (Arena arena = Arena.ofShared()) {
      dataset = VectorBatch.of(arena.allocate(ValueLayout.JAVA_FLOAT, ROWS), ROWS, 1, Float.BYTES);
    }
    assertThrows(IllegalStateException.class, () -> search(dataset, null));
    assertFalse(other.isDone());
    engine.open();
    other.get(20, TimeUnit.SECONDS);
    check(search());
    assertEquals(1, engine.count("knn"));
  }

  /** Nothing of it is looked at again: its memory is the caller's. */
  @Test
  void aFailureThatCannotEvenBeClosedEndsTheCall() {
    engine.failing = "knnStep,knnClose";
    OutOfMemoryError untidy = new OutOfMemoryError("made up");
    engine.failures.addAll(List.of(new IllegalStateException("a bug"), untidy));
    VectorIndexException e = assertThrows(VectorIndexException.class, this::search);
    assertEquals("a bug", e.getMessage());
    assertSame(untidy, e.getCause().getSuppressed()[0]);
    check(search());
    assertEquals(2, engine.count("knn"));
  }

  @Test
  void aDatasetThatIsFreedMeanwhileIsTheCallersFailure() throws Exception {
    engine.hold("knnStep");
    Arena arena = Arena.ofShared();
    MemorySegment memory = arena.allocate(ValueLayout.JAVA_FLOAT, ROWS);
    VectorBatch dataset = VectorBatch.of(memory, ROWS, 1, Float.BYTES);
    CompletableFuture<Void> searching =
        Together.start(
            () -> assertThrows(IllegalStateException.class, () -> search(dataset, null)));
    engine.awaitHeld();
    outlastTheTurn(); // two pieces are copied, and there is room for no more
    arena.close();
    engine.open();
    searching.get(20, TimeUnit.SECONDS);
    check(search());
  }

  @Test
  void memoryMayChangeWhenTheCallHasReturned() {
    float[] values = new float[ROWS];
    for (int i = 0; i < ROWS; i++) {
      values[i] = i;
    }
    VectorBatch dataset = VectorBatch.of(MemorySegment.ofArray(values), ROWS, 1, Float.BYTES);
    KnnResult result = search(dataset, null);
    java.util.Arrays.fill(values, Float.NaN);
    check(result);
    assertThrows(IllegalArgumentException.class, () -> search(dataset, null));
  }

  @Test
  void anotherDeviceBeginsAnew() throws Exception {
    DeviceInfo lost = new DeviceInfo(BackendKind.CUDA, 80, "fake", "none", 0, false);
    FakeEngine bad = new FakeEngine(lost);
    bad.knnRows = 10;
    bad.hold("knnStep");
    IndexTargets targets =
        new IndexTargets(List.of(lost, engine.device()), Optional.empty(), List.of(), false);
    CompletableFuture<Void> searching =
        Together.start(
            () -> {
              KnnResult result =
                  KnnJob.with(
                      Metric.L2_SQUARED,
                      LINE,
                      QUERY,
                      3,
                      PIECE_ROWS * Float.BYTES,
                      job -> targets.first((device, why, cause) -> on(job, device, bad, why)));
              check(result);
              assertEquals(Optional.of(FallbackReason.DEVICE_LOST), result.execution().fallback());
            });
    for (int step = 0; step < 4; step++) {
      bad.awaitHeld();
      bad.release();
    }
    bad.awaitHeld();
    bad.failures.add(new DeviceLostException("unplugged"));
    bad.failing = "knnStep";
    bad.open();
    searching.get(20, TimeUnit.SECONDS);
    assertEquals(1, bad.knnsClosed.get());
    assertEquals(List.of(25, 25, 25, 25), offered());
  }

  private KnnResult on(
      KnnJob job, Device device, FakeEngine bad, Optional<FallbackReason> fallback) {
    if (!device.equals(bad.device())) {
      return job.on(owner, device, fallback, null);
    }
    DeviceOwner there = DeviceOwner.of(bad);
    try {
      return job.on(there, device, fallback, null);
    } finally {
      there.release();
    }
  }

  /** The pieces and steps of the device do not show in the answers. */
  @ParameterizedTest
  @ValueSource(strings = {"java", "cpu"})
  void answersAreTheSameForPiecesOfAnySize(String library) throws Exception {
    Seed seed = new Seed("KnnCallTest#answersAreTheSameForPiecesOfAnySize");
    Random random = seed.random(0);
    int dim = 1 + random.nextInt(40);
    int rows = 2000;
    VectorBatch dataset = batch(random, rows, dim);
    VectorBatch queries = batch(random, 150, dim);
    Metric metric = Metric.values()[random.nextInt(Metric.values().length)];
    KnnResult whole = null;
    for (int pieceRows : new int[] {rows, 1, 31, 32, 333, 1 + random.nextInt(rows)}) {
      Engine real = library.equals("java") ? new JavaEngine() : EngineTest.open(library);
      DeviceOwner own = DeviceOwner.of(real);
      KnnResult result =
          KnnJob.with(
              metric,
              dataset,
              queries,
              20,
              (long) pieceRows * dim * Float.BYTES,
              job -> job.on(own, real.device(), Optional.empty(), null));
      own.release();
      if (whole == null) {
        whole = result;
      }
      for (int q = 0; q < queries.size(); q++) {
        for (int i = 0; i < 20; i++) {
          String where = "query %d, hit %d, pieces of %d, %s".formatted(q, i, pieceRows, seed);
          assertEquals(whole.row(q, i), result.row(q, i), where);
          assertEquals(whole.distance(q, i), result.distance(q, i), where);
        }
      }
    }
  }

  /** Of few values, so that there are ties, and inside the ball of Poincaré. */
  private static VectorBatch batch(Random random, int rows, int dim) {
    float[][] vectors = new float[rows][dim];
    for (float[] vector : vectors) {
      for (int i = 0; i < dim; i++) {
        vector[i] = (1 + random.nextInt(4)) / 32f;
      }
    }
    return VectorBatch.of(vectors);
  }
}
