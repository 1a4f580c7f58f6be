// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.BackendKind;
import dev.nearfield.CompactionReport;
import dev.nearfield.DeviceLostException;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.Encoding;
import dev.nearfield.IndexClosedException;
import dev.nearfield.IndexSpec;
import dev.nearfield.Metric;
import dev.nearfield.Placement;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.VectorBatch;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.move.Elsewhere;
import dev.nearfield.internal.plain.JavaEngine;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.value.DeviceInfo;
import dev.nearfield.internal.value.PlacementInfo;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** When codes are fitted, a step at a time, and what happens between the steps. */
@Timeout(60)
class TrainerTest {
  private static final int FROM = 40;
  private static final int STEP = 16;
  private static final DeviceInfo OTHER =
      new DeviceInfo(BackendKind.CUDA, 7, "fake", "none", 1000, false);

  private final FakeEngine engine = coded();
  private final FakeEngine other = coded();
  private final AcceleratedVectorIndex index =
      new IndexBuilder(1, Metric.L2_SQUARED)
          .engine(engine)
          .elsewhere(new Route())
          .codedFrom(FROM)
          .stepRows(STEP)
          .autoCompaction(1)
          .build();

  private final class Route implements Elsewhere {
    @Override
    public Destination better(Placement now) {
      return new Destination(
          DeviceOwner.of(other),
          new PlacementInfo(OTHER, Optional.empty(), List.of()),
          new IndexConfig(
              1, Metric.L2_SQUARED, IndexSpec.flat(), null, FROM, 0, 0, 0, 64, 0, 64, 0, 1, null));
    }

    @Override
    public boolean hasRoomier(Placement now) {
      return false;
    }

    @Override
    public Destination roomier(Placement now) {
      return null;
    }
  }

  private static FakeEngine coded() {
    FakeEngine engine = new FakeEngine(JavaEngine.DEVICE);
    engine.codes = true;
    return engine;
  }

  @AfterEach
  void close() {
    engine.open();
    other.open();
    index.close();
  }

  private void add(int from, int to) {
    index.addAll(
        VectorBatch.of(
            IntStream.range(from, to).mapToObj(i -> new float[] {i}).toArray(float[][]::new)));
  }

  private void awaitTrainings(int count) {
    BatchingTest.await(() -> index.stats().trainings() == count);
  }

  private static SearchRequest all() {
    return SearchRequest.builder().query(new float[1]).topK(1000).build();
  }

  private int found() {
    return index.search(all()).hitCount(0);
  }

  /** The actor has nothing left to do after a request that is queued behind all it does. */
  private void settle() throws Exception {
    for (int i = 0; i < 3; i++) {
      index.searchAsync(all()).get(20, TimeUnit.SECONDS);
    }
  }

  @Test
  void beginsWithEnoughVectorsAndGoesInSteps() throws Exception {
    assertEquals(Encoding.INT8, index.placement().encoding());
    add(0, FROM - 1);
    settle();
    assertEquals(0, engine.count("train"));
    engine.hold("train");
    add(FROM - 1, FROM);
    for (int step = 0; step < engine.trainSteps; step++) {
      engine.awaitHeld();
      assertEquals(step, engine.last("train").batch(), "position");
      CompletableFuture<SearchResult> search = index.searchAsync(all());
      CompletableFuture<?> change = index.addAsync(new float[] {1000});
      engine.release();
      assertEquals(FROM + step, search.get(20, TimeUnit.SECONDS).hitCount(0));
      change.get(20, TimeUnit.SECONDS);
    }
    awaitTrainings(1);
    add(100, 200);
    settle();
    assertEquals(engine.trainSteps, engine.count("train"), "nothing has become loose");
  }

  /** Brief calls are done on the caller's thread, and tell the owner that there is something. */
  @Test
  void beginsAfterABriefCall() {
    engine.onHost = true;
    for (int i = 0; i < FROM; i++) {
      index.add(new float[] {i});
    }
    awaitTrainings(1);
  }

  @Test
  void isRepeatedWhenTheBoundsAreLooseForAShareOfTheVectors() throws Exception {
    add(0, 80);
    awaitTrainings(1);
    engine.loosening = 1.9;
    add(80, 100);
    settle();
    assertEquals(1, index.stats().trainings(), "not loose");
    assertTrue(index.replace(index.add(new float[] {5}), new float[] {6}).isPresent());
    engine.loosening = 2;
    add(101, 102);
    awaitTrainings(2);
    engine.loosening = 50;
    add(102, 114); // 12 of 114
    settle();
    assertEquals(2, index.stats().trainings(), "too few are loose");
    add(114, 117);
    awaitTrainings(3);
    assertEquals(3L * engine.trainSteps, engine.count("train"));
  }

  @Test
  void aFailureHarmsNothingAndIsNotTriedAgainAtOnce() throws Exception {
    engine.failing = "train";
    engine.failures.add(new DeviceOutOfMemoryException("no room for the fit", 1, 2, 3));
    add(0, FROM);
    BatchingTest.await(() -> engine.failures.isEmpty());
    assertEquals(FROM, found());
    add(FROM, 2 * FROM - 1);
    settle();
    assertEquals(1, engine.count("train"));
    assertEquals(0, index.stats().trainings());
    add(0, 1);
    awaitTrainings(1);
    assertEquals(2 * FROM, found());
    engine.loosening = 3;
    engine.failures.add(new DeviceOutOfMemoryException("no room for the fit", 1, 2, 3));
    add(0, FROM);
    BatchingTest.await(() -> engine.failures.isEmpty());
    long tries = engine.count("train");
    engine.loosening = 5.9;
    add(0, FROM);
    settle();
    assertEquals(tries, engine.count("train"));
    engine.loosening = 6;
    add(0, 1);
    awaitTrainings(2);
  }

  @Test
  void noCompactionBeginsMeanwhile() throws Exception {
    add(0, 10);
    int removed = index.removeIf(handle -> true);
    engine.hold("train");
    add(0, FROM);
    engine.awaitHeld();
    CompletableFuture<CompactionReport> compaction = index.compact();
    engine.open();
    assertEquals(removed, compaction.get(20, TimeUnit.SECONDS).reclaimed());
    List<String> order = operations();
    assertTrue(order.indexOf("compact") > order.lastIndexOf("train"), order.toString());
    assertEquals(1, index.stats().trainings());
    assertEquals(FROM, found());
  }

  private List<String> operations() {
    return engine.calls.stream().map(FakeEngine.Call::operation).toList();
  }

  @Test
  void noTrainingBeginsWhileACompactionRuns() throws Exception {
    add(0, 10);
    index.removeIf(handle -> true);
    engine.compactSlices = 4;
    engine.hold("compact");
    CompletableFuture<CompactionReport> compaction = index.compact();
    engine.awaitHeld();
    for (int i = 0; i < FROM; i++) {
      index.addAsync(new float[] {i});
    }
    engine.open();
    compaction.get(20, TimeUnit.SECONDS);
    awaitTrainings(1);
    List<String> order = operations();
    assertTrue(order.indexOf("add") < order.indexOf("compact"), order.toString());
    assertTrue(order.lastIndexOf("add") < order.lastIndexOf("compact"), order.toString());
    assertTrue(order.indexOf("train") > order.lastIndexOf("compact"), order.toString());
  }

  /** Its hidden rows would be no part of the sample. */
  @Test
  void noTrainingBeginsWhileALargeInsertRuns() throws Exception {
    engine.hold("add");
    CompletableFuture<Void> insert = CompletableFuture.runAsync(() -> add(0, 5 * STEP));
    engine.awaitHeld();
    engine.release();
    engine.awaitHeld(); // the second chunk: the first is hidden
    for (int i = 0; i < FROM; i++) {
      index.addAsync(new float[] {i});
    }
    engine.open();
    insert.get(20, TimeUnit.SECONDS);
    awaitTrainings(1);
    List<String> order = operations();
    assertTrue(order.indexOf("train") > order.lastIndexOf("reveal"), order.toString());
    assertEquals(5 * STEP + FROM, found());
  }

  @Test
  void closingEndsAStep() throws Exception {
    engine.hold("train");
    add(0, FROM);
    engine.awaitHeld();
    CompletableFuture<Void> closing = CompletableFuture.runAsync(index::close);
    closing.get(20, TimeUnit.SECONDS); // the step at the gate sees the cancel word
    assertThrows(IndexClosedException.class, () -> index.add(new float[1]));
    assertEquals(1, engine.count("train"));
    assertEquals(1, engine.indexesClosed.get());
  }

  @Test
  void aDrainDoesNotWaitForIt() throws Exception {
    engine.hold("train");
    add(0, FROM);
    engine.awaitHeld();
    CompletableFuture<SearchResult> search = index.searchAsync(all());
    engine.release();
    assertEquals(FROM, search.get(20, TimeUnit.SECONDS).hitCount(0));
    engine.open();
    assertTrue(index.close(Duration.ofSeconds(20)));
  }

  @Test
  void aLostDeviceIsNoticed() {
    engine.failing = "train";
    engine.failures.add(new DeviceLostException("gone"));
    add(0, FROM);
    BatchingTest.await(() -> engine.failures.isEmpty());
    assertThrows(DeviceLostException.class, this::found);
  }

  @Test
  void aMoveTakesTheEncodingAlongAndTrainsAgain() throws Exception {
    add(0, FROM);
    awaitTrainings(1);
    assertEquals(.5, read(100));
    Placement there = index.retryAcceleration().get(20, TimeUnit.SECONDS);
    assertEquals(Encoding.INT8, there.encoding());
    assertEquals(there, index.placement());
    assertEquals(1, other.count("createCoded"));
    awaitTrainings(2);
    assertEquals(other.trainSteps, other.count("train"));
    assertEquals(.5, read(0), "what was read before the move counts on");
    assertEquals(FROM, found());
  }

  /** The share of codes read, after so many searches and a change. */
  private double read(int searches) {
    for (int i = 0; i < searches; i++) {
      found();
    }
    index.remove(index.add(new float[] {1}));
    return index.stats().codesRead();
  }

  @Test
  void aMoveMayBeginInTheMiddle() throws Exception {
    engine.hold("train");
    add(0, FROM);
    engine.awaitHeld();
    CompletableFuture<Placement> move = index.retryAcceleration();
    BatchingTest.await(() -> index.stats().queued() == 1);
    engine.release();
    engine.hold("none");
    move.get(20, TimeUnit.SECONDS);
    awaitTrainings(1);
    assertEquals(1, engine.count("train"));
    assertEquals(other.trainSteps, other.count("train"));
  }

  @Test
  void statsShowWhatIsKeptAndRead() throws Exception {
    assertEquals(Encoding.INT8, index.stats().encoding());
    assertTrue(Double.isNaN(index.stats().codesRead()));
    add(0, 10);
    long bytes = index.stats().codeBytes();
    assertTrue(bytes > 0 && bytes < index.stats().deviceBytes(), "code bytes " + bytes);
    found();
    SearchRequest capped =
        SearchRequest.builder().query(new float[1]).topK(3).maxOversample(1.5).build();
    SearchResult result = index.search(capped);
    assertFalse(result.certified(0));
    assertFalse(result.execution().certified(0));
    assertEquals(5, result.rescored(0));
    assertThrows(IndexOutOfBoundsException.class, () -> result.certified(1));
    assertThrows(IndexOutOfBoundsException.class, () -> result.rescored(1));
    add(10, 11);
    assertEquals(.5, index.stats().codesRead());
    assertEquals(2, index.stats().queries());
    assertEquals(1, index.stats().certified());
  }

  @Test
  void withoutCodesThereIsNoTraining() throws Exception {
    FakeEngine plain = coded();
    try (AcceleratedVectorIndex floats =
        new IndexBuilder(1, Metric.L2_SQUARED)
            .engine(plain)
            .encoding(Encoding.F32)
            .codedFrom(1)
            .build()) {
      floats.add(new float[1]);
      floats.searchAsync(all()).get(20, TimeUnit.SECONDS);
      assertEquals(0, plain.count("train"));
      assertEquals(Encoding.F32, floats.stats().encoding());
      assertEquals(0, floats.stats().codeBytes());
    }
  }

  @Test
  void closingFailsACompactionThatWaits() throws Exception {
    engine.hold("train");
    add(0, FROM);
    engine.awaitHeld();
    CompletableFuture<CompactionReport> compaction = index.compact();
    CompletableFuture.runAsync(index::close).get(20, TimeUnit.SECONDS);
    assertInstanceOf(
        IndexClosedException.class,
        assertThrows(ExecutionException.class, () -> compaction.get(20, TimeUnit.SECONDS))
            .getCause());
  }
}
