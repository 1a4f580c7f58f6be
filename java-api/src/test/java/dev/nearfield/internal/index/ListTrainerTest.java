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
import dev.nearfield.IndexClosedException;
import dev.nearfield.IndexSpec;
import dev.nearfield.MaintenanceReport;
import dev.nearfield.Metric;
import dev.nearfield.Placement;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.SearchTimeoutException;
import dev.nearfield.TrainingReport;
import dev.nearfield.TrainingRequest;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandle;
import dev.nearfield.VectorHandles;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.move.Elsewhere;
import dev.nearfield.internal.plain.JavaEngine;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.value.DeviceInfo;
import dev.nearfield.internal.value.PlacementInfo;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Trainings of lists a step at a time, what happens between the steps, and lists on a move. */
@Timeout(60)
class ListTrainerTest {
  private static final int LISTS = 4;
  private static final int ROWS = 40;
  private static final DeviceInfo OTHER =
      new DeviceInfo(BackendKind.CUDA, 7, "fake", "none", 1000, false);

  private final FakeEngine engine = listed();
  private final FakeEngine other = listed();
  private final AcceleratedVectorIndex index =
      new IndexBuilder(1, Metric.L2_SQUARED)
          .engine(engine)
          .elsewhere(new Route())
          .spec(IndexSpec.ivf(LISTS))
          .stepRows(16)
          .autoCompaction(1)
          .batching(64, Duration.ZERO)
          .build();

  private final class Route implements Elsewhere {
    @Override
    public Destination better(Placement now) {
      return new Destination(
          DeviceOwner.of(other),
          new PlacementInfo(OTHER, Optional.empty(), List.of()),
          new IndexConfig(
              1, Metric.L2_SQUARED, IndexSpec.ivf(LISTS), null, 9, 0, 0, 0, 64, 0, 64, 0, 1, null));
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

  private static FakeEngine listed() {
    FakeEngine engine = new FakeEngine(JavaEngine.DEVICE);
    engine.lists = true;
    return engine;
  }

  @AfterEach
  void close() {
    engine.open();
    other.open();
    index.close();
  }

  private VectorHandles add(int count) {
    return index.addAll(
        VectorBatch.of(
            IntStream.range(0, count).mapToObj(i -> new float[] {i}).toArray(float[][]::new)));
  }

  private static <T> T done(CompletableFuture<T> future) throws Exception {
    return future.get(20, TimeUnit.SECONDS);
  }

  private static Throwable failure(CompletableFuture<?> future) {
    return assertThrows(ExecutionException.class, () -> done(future)).getCause();
  }

  private static SearchRequest.Builder near(int k) {
    return SearchRequest.builder().query(new float[1]).topK(k);
  }

  @Test
  void goesInStepsWithRequestsBetween() throws Exception {
    add(ROWS);
    engine.hold("trainLists");
    TrainingRequest how =
        TrainingRequest.builder().lists(6).iterations(3).sample(20).seed(5).build();
    CompletableFuture<TrainingReport> training = index.train(how);
    for (int step = 0; step < engine.trainSteps; step++) {
      engine.awaitHeld();
      assertEquals(step, engine.last("trainLists").batch(), "position");
      CompletableFuture<SearchResult> search = index.searchAsync(near(1000).build());
      CompletableFuture<VectorHandle> change = index.addAsync(new float[] {1000});
      engine.release();
      SearchResult found = done(search);
      assertEquals(ROWS + step, found.hitCount(0));
      done(change);
      assertEquals(step == engine.trainSteps - 1, index.stats().trained() || training.isDone());
    }
    TrainingReport report = done(training);
    assertEquals(6, report.lists());
    assertTrue(report.took().isPositive());
    assertEquals(1, index.stats().trainings());
    assertEquals(6, index.stats().lists());
    EngineIndex.Training asked = engine.listTrainings.getLast();
    assertEquals(new EngineIndex.Training(null, 6, 3, 20, 5), asked);
    assertEquals(1, index.search(near(3).build()).listsScanned(0));
    SearchResult five = index.search(near(3).probes(5).build());
    assertEquals(5, five.listsScanned(0));
    assertEquals(5f / 6, five.recallEstimate(0));
    assertThrows(IndexOutOfBoundsException.class, () -> five.listsScanned(1));
    assertThrows(IndexOutOfBoundsException.class, () -> five.recallEstimate(1));
    assertEquals(6, index.search(near(3).probes(5).exact(true).build()).listsScanned(0));
    engine.open();
    assertEquals(LISTS, done(index.train()).lists(), "as the index says, where nothing is said");
  }

  @Test
  void isMaintainedInStepsToo() throws Exception {
    add(ROWS);
    assertEquals(0, done(index.maintain()).split(), "there are no lists");
    done(index.train());
    engine.hold("maintain");
    CompletableFuture<MaintenanceReport> maintenance = index.maintain();
    CompletableFuture<TrainingReport> after = index.train();
    for (int step = 0; step < engine.trainSteps; step++) {
      engine.awaitHeld();
      assertEquals(step, engine.last("maintain").batch(), "position");
      CompletableFuture<SearchResult> search = index.searchAsync(near(1000).exact(true).build());
      CompletableFuture<VectorHandle> change = index.addAsync(new float[] {1000});
      engine.drift = .25;
      engine.release();
      assertEquals(ROWS + step, done(search).hitCount(0));
      done(change);
      assertFalse(after.isDone() && step < engine.trainSteps - 1);
    }
    engine.open(); // it looks whether anything is left
    MaintenanceReport report = done(maintenance);
    assertEquals(2, report.split());
    assertEquals(1, report.merged());
    assertTrue(report.moved() >= ROWS / 2);
    assertTrue(report.took().isPositive());
    assertEquals(LISTS, done(after).lists());
    assertEquals(.25, index.stats().drift());
    assertEquals(2, index.stats().trainings(), "a maintenance is none");
  }

  @Test
  void aMaintenanceIsCancelledAndMovesAndFailsAsATraining() throws Exception {
    add(ROWS);
    done(index.train());
    engine.hold("maintain");
    CompletableFuture<MaintenanceReport> cancelled = index.maintain();
    engine.awaitHeld();
    cancelled.cancel(false);
    engine.open();
    done(index.train()); // after the step at the gate has seen the cancel word
    engine.failing = "maintain";
    engine.failures.add(new DeviceOutOfMemoryException("no room for the lists", 1, 2, 3));
    assertInstanceOf(DeviceOutOfMemoryException.class, failure(index.maintain()));
    engine.failing = "none";
    assertEquals(LISTS, index.stats().lists());
    engine.hold("maintain");
    CompletableFuture<MaintenanceReport> moving = index.maintain();
    engine.awaitHeld();
    CompletableFuture<Placement> move = index.retryAcceleration();
    BatchingTest.await(() -> index.stats().queued() == 1);
    engine.release();
    engine.hold("none");
    done(move);
    assertEquals(1, done(moving).merged());
    assertEquals(other.trainSteps + 1, other.count("maintain"), "and a look at what is left");
    assertEquals(LISTS + 1, index.stats().lists());
  }

  @Test
  void codesAreNotFittedByThemselves() throws Exception {
    FakeEngine coded = listed();
    coded.codes = true;
    try (AcceleratedVectorIndex codes =
        new IndexBuilder(1, Metric.L2_SQUARED)
            .engine(coded)
            .spec(IndexSpec.ivf(0))
            .codedFrom(10)
            .build()) {
      codes.addAll(VectorBatch.of(new float[20][1]));
      done(codes.searchAsync(near(1).build()));
      done(codes.searchAsync(near(1).build()));
      assertEquals(0, coded.count("train") + coded.count("trainLists"));
      done(codes.train());
      assertEquals(0, coded.count("train"));
      assertEquals(coded.trainSteps, coded.count("trainLists"));
    }
  }

  @Test
  void progressIsHeardOneCallAtATime() throws Exception {
    add(ROWS);
    engine.trainSteps = 20;
    List<TrainingRequest.Progress> heard = new ArrayList<>();
    CompletableFuture<Void> last = new CompletableFuture<>();
    done(
        index.train(
            TrainingRequest.builder()
                .progress(
                    progress -> {
                      heard.add(progress); // unguarded: calls follow each other
                      if (progress.done() == ROWS) {
                        last.complete(null);
                      }
                      throw new IllegalStateException("a listener that throws is logged");
                    })
                .build()));
    done(last);
    assertTrue(heard.size() <= engine.trainSteps, heard.toString());
    assertEquals(new TrainingRequest.Progress(ROWS, ROWS), heard.getLast());
  }

  @Test
  void searchesShareABatchOfTheirClassOnly() throws Exception {
    add(ROWS);
    done(index.train());
    engine.hold("search");
    CompletableFuture<SearchResult> first = index.searchAsync(near(1).build());
    engine.awaitHeld();
    List<CompletableFuture<SearchResult>> waiting = new ArrayList<>();
    for (SearchRequest.Builder request :
        List.of(
            near(2),
            near(2),
            near(3),
            near(2).probes(2),
            near(2).probes(2),
            near(2).probes(3),
            near(2).targetRecall(.5),
            near(2).targetRecall(.5),
            near(2).targetRecall(.6),
            near(2).exact(true),
            near(3).probes(2).exact(true))) {
      waiting.add(index.searchAsync(request.build()));
    }
    engine.open();
    done(first);
    for (CompletableFuture<SearchResult> each : waiting) {
      done(each);
    }
    List<Integer> sizes = new ArrayList<>();
    engine.searches.stream().skip(1).forEach(call -> sizes.add(call.batch()));
    assertEquals(List.of(2, 1, 2, 1, 2, 1, 2), sizes);
    assertEquals(.6f, engine.searches.get(6).reach().targetRecall());
    assertEquals(0, engine.searches.getLast().reach().probes(), "exact needs none");
  }

  @Test
  void tooManyProbesFailAloneAndOnAnEmptyIndexToo() throws Exception {
    add(ROWS);
    index.search(near(1).probes(1000).build()); // not trained: exact
    done(index.train());
    for (int round = 0; round < 2; round++) {
      CompletableFuture<SearchResult> bad = index.searchAsync(near(1).probes(LISTS + 1).build());
      CompletableFuture<SearchResult> good = index.searchAsync(near(1).probes(LISTS).build());
      Throwable cause = failure(bad);
      assertInstanceOf(IllegalArgumentException.class, cause);
      assertEquals("search: probes [5], the index has 4 lists", cause.getMessage());
      assertEquals(round == 0 ? 1 : 0, done(good).hitCount(0));
      index.removeIf(handle -> true);
    }
  }

  @Test
  void isCancelledBetweenStepsAndBeforeTheFirst() throws Exception {
    add(ROWS);
    engine.hold("trainLists");
    CompletableFuture<TrainingReport> running = index.train();
    engine.awaitHeld();
    CompletableFuture<TrainingReport> waiting = index.train();
    CompletableFuture<TrainingReport> third =
        index.train(TrainingRequest.builder().lists(9).build());
    waiting.cancel(false);
    running.cancel(false);
    engine.awaitHeld(); // the step at the gate has seen the cancel word, and the third has begun
    engine.open();
    assertEquals(9, done(third).lists());
    assertTrue(engine.listTrainings.stream().allMatch(how -> how.lists() == 9), "no step was done");
    assertEquals(1, index.stats().trainings());
  }

  @Test
  void itsTimeMayPass() throws Exception {
    add(ROWS);
    engine.hold("trainLists");
    CompletableFuture<TrainingReport> training = index.withTimeout(Duration.ofMillis(30)).train();
    engine.awaitHeld();
    assertInstanceOf(SearchTimeoutException.class, failure(training));
    engine.open();
    assertEquals(0, index.stats().trainings());
    assertEquals(LISTS, done(index.train()).lists());
  }

  @Test
  void aFailureHarmsNothing() throws Exception {
    add(ROWS);
    engine.failing = "trainLists";
    engine.failures.add(new DeviceOutOfMemoryException("no room for the lists", 1, 2, 3));
    assertInstanceOf(DeviceOutOfMemoryException.class, failure(index.train()));
    assertEquals(ROWS, index.search(near(1000).build()).hitCount(0));
    assertEquals(0, index.stats().lists());
    assertEquals(LISTS, done(index.train()).lists());
    engine.failures.add(new DeviceLostException("gone"));
    assertInstanceOf(DeviceLostException.class, failure(index.train()));
    assertInstanceOf(DeviceLostException.class, failure(index.train()));
  }

  @Test
  void noCompactionBeginsMeanwhile() throws Exception {
    VectorHandles all = add(ROWS);
    engine.hold("trainLists");
    CompletableFuture<TrainingReport> training = index.train();
    engine.awaitHeld();
    index.removeAsync(all.get(0));
    index.removeAsync(all.get(1));
    CompletableFuture<CompactionReport> compaction = index.compact();
    engine.open();
    assertEquals(2, done(compaction).reclaimed());
    assertTrue(training.isDone());
    List<String> order = engine.calls.stream().map(FakeEngine.Call::operation).toList();
    assertTrue(order.indexOf("compact") > order.lastIndexOf("trainLists"), order.toString());
  }

  @Test
  void closingEndsIt() throws Exception {
    add(ROWS);
    engine.hold("trainLists");
    CompletableFuture<TrainingReport> running = index.train();
    CompletableFuture<TrainingReport> waiting = index.train();
    engine.awaitHeld();
    done(CompletableFuture.runAsync(index::close));
    assertInstanceOf(IndexClosedException.class, failure(running));
    assertInstanceOf(IndexClosedException.class, failure(waiting));
  }

  @Test
  void aDrainWaitsForIt() throws Exception {
    add(ROWS);
    engine.hold("trainLists");
    CompletableFuture<TrainingReport> training = index.train();
    engine.awaitHeld();
    CompletableFuture<Boolean> drain =
        CompletableFuture.supplyAsync(
            () -> {
              try {
                return index.close(Duration.ofSeconds(20));
              } catch (InterruptedException e) {
                throw new AssertionError(e);
              }
            });
    engine.open();
    assertTrue(done(drain));
    assertEquals(LISTS, done(training).lists());
  }

  @Test
  void listsOfLiveVectorsGoAlong() throws Exception {
    VectorHandles all = add(ROWS);
    done(index.train());
    index.removeAll(
        VectorHandles.of(IntStream.range(0, 10).mapToObj(i -> all.get(3 * i)).toList()));
    Placement there = done(index.retryAcceleration());
    assertTrue(there.listed());
    EngineIndex.Lists written = other.listsWritten.getFirst();
    assertEquals(1, other.listsWritten.size());
    assertEquals(LISTS, written.count());
    assertEquals(.25f, written.calibration().getAtIndex(ValueLayout.JAVA_FLOAT, 0));
    assertEquals(ROWS - 10, written.rows());
    int row = 0;
    for (int old = 0; old < ROWS; old++) { // row i of the old one is in list i % 4
      if (old % 3 != 0 || old >= 30) {
        assertEquals(
            old % LISTS, written.listOfRow().getAtIndex(ValueLayout.JAVA_INT, row++), "" + old);
      }
    }
    assertEquals(ROWS - 10, row);
    assertEquals(LISTS, index.stats().lists());
    assertEquals(1, index.stats().trainings());
    assertEquals(0, other.count("trainLists"));
    assertEquals(2, index.search(near(1).probes(2).build()).listsScanned(0));
    List<String> order = other.calls.stream().map(FakeEngine.Call::operation).toList();
    assertTrue(order.indexOf("writeLists") > order.lastIndexOf("add"), order.toString());
  }

  @Test
  void whereThereAreNoListsItIsFlat() throws Exception {
    other.lists = false;
    add(ROWS);
    done(index.train());
    assertTrue(index.placement().listed());
    assertFalse(done(index.retryAcceleration()).listed());
    assertEquals(0, index.stats().lists());
    assertEquals(0, other.count("writeLists"));
    assertEquals(ROWS, index.search(near(1000).probes(1000).build()).hitCount(0));
    assertEquals(0, done(index.train()).lists());
    assertInstanceOf(
        IllegalArgumentException.class,
        failure(index.train(TrainingRequest.builder().lists(ROWS + 1).build())));
    assertEquals(0, other.count("trainLists"));
  }

  @Test
  void aMoveInTheMiddleBeginsItAnewThere() throws Exception {
    add(ROWS);
    engine.hold("trainLists");
    CompletableFuture<TrainingReport> training = index.train();
    engine.awaitHeld();
    CompletableFuture<Placement> move = index.retryAcceleration();
    BatchingTest.await(() -> index.stats().queued() == 1);
    engine.release();
    engine.hold("none");
    done(move);
    assertEquals(LISTS, done(training).lists());
    assertEquals(1, engine.count("trainLists"));
    assertEquals(other.trainSteps, other.count("trainLists"));
  }

  @Test
  void aMoveThatFailsLeavesTheLists() throws Exception {
    add(ROWS);
    done(index.train());
    other.failing = "writeLists";
    other.failures.add(new DeviceOutOfMemoryException("no room for the lists", 1, 2, 3));
    assertInstanceOf(DeviceOutOfMemoryException.class, failure(index.retryAcceleration()));
    assertEquals(LISTS, index.stats().lists());
    assertEquals(ROWS, index.search(near(1000).probes(LISTS).build()).hitCount(0));
  }
}
