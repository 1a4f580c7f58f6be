// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.BackendKind;
import dev.nearfield.BackendUnavailableException;
import dev.nearfield.DeviceLostException;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.Encoding;
import dev.nearfield.FallbackReason;
import dev.nearfield.IndexClosedException;
import dev.nearfield.Metric;
import dev.nearfield.Placement;
import dev.nearfield.SearchRequest;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandle;
import dev.nearfield.VectorIndexException;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.engine.FitSample;
import dev.nearfield.internal.engine.VectorCheck;
import dev.nearfield.internal.event.FallbackReporter;
import dev.nearfield.internal.event.IndexCounters;
import dev.nearfield.internal.move.Elsewhere;
import dev.nearfield.internal.plain.JavaRows;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.table.SlotTable;
import dev.nearfield.internal.turn.Completer;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.value.DeviceInfo;
import dev.nearfield.internal.value.PlacementInfo;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * How an index of codes alone is made and fitted to a sample, where it is and where it moves to.
 */
@Timeout(60)
class BuildingTest {
  private static final int DIM = 2;
  private static final int FROM = 40;
  private static final VectorBatch SAMPLE = VectorBatch.of(new float[][] {{1, 2}, {3, 4}, {5, 6}});

  private final FakeEngine engine = alone(0);
  private final FakeEngine other = alone(1);

  private static FakeEngine alone(int ordinal) {
    FakeEngine engine =
        new FakeEngine(new DeviceInfo(BackendKind.CUDA, 60 + ordinal, "fake", "none", 1000, false));
    engine.codes = true;
    engine.codesAlone = true;
    return engine;
  }

  @AfterEach
  void close() {
    engine.open();
    other.open();
  }

  private static FitSample sample(VectorBatch from) {
    VectorCheck check = new VectorCheck(Metric.L2_SQUARED, from.dimension(), 0);
    return FitSample.of("test", from, check);
  }

  private IndexBuilder builder(boolean fitted) {
    IndexBuilder builder =
        new IndexBuilder(DIM, Metric.L2_SQUARED)
            .engine(engine)
            .elsewhere(new Route(fitted))
            .encoding(Encoding.INT8_ONLY)
            .codedFrom(FROM);
    return fitted ? builder.codesFittedTo(SAMPLE) : builder;
  }

  private final class Route implements Elsewhere {
    private final boolean fitted;

    Route(boolean fitted) {
      this.fitted = fitted;
    }

    @Override
    public Destination better(Placement now) {
      return new Destination(
          DeviceOwner.of(other),
          new PlacementInfo(other.device(), Optional.empty(), List.of()),
          config(fitted));
    }

    @Override
    public boolean hasRoomier(Placement now) {
      return !now.device().equals(other.device());
    }

    @Override
    public Destination roomier(Placement now) {
      return better(now);
    }
  }

  private static IndexConfig config(boolean fitted) {
    return new IndexConfig(
        DIM,
        Metric.L2_SQUARED,
        Encoding.INT8_ONLY,
        fitted ? sample(SAMPLE) : null,
        FROM,
        0,
        0,
        0,
        64,
        0,
        64,
        0,
        1,
        null);
  }

  private static SearchRequest.Builder near() {
    return SearchRequest.builder().query(new float[DIM]).topK(1);
  }

  private static float[][] vectors(int count) {
    float[][] vectors = new float[count][DIM];
    for (int i = 0; i < count; i++) {
      vectors[i][0] = i + .2f;
    }
    return vectors;
  }

  // ---- what it is

  @Test
  void anIndexOfCodesAlone() {
    try (AcceleratedVectorIndex index = builder(false).build()) {
      assertEquals(1, engine.count("createAlone"));
      assertEquals(Encoding.INT8_ONLY, index.placement().encoding());
      assertEquals(Encoding.INT8_ONLY, index.stats().encoding());
      assertEquals(false, index.search(near().build()).certified(0), "empty");
      VectorHandle handle = index.add(new float[] {1.2f, 0});
      assertEquals(1, index.get(handle).orElseThrow().vector()[0]);
      assertEquals(1, index.search(near().build()).distance(0, 0));
      assertEquals(false, index.search(near().build()).certified(0));
      assertEquals(3, index.stats().queries());
      assertEquals(0, index.stats().certified());
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class, () -> index.search(near().exact(true).build()));
      assertEquals(
          "search: exact [true] with encoding INT8_ONLY, which keeps no vectors in 32-bit floats to"
              + " scan; search without it for the exact answers of what get() gives, or build with"
              + " INT8 or F32",
          e.getMessage());
      index.addAll(VectorBatch.of(vectors(3 * FROM)));
      for (int i = 0; i < 3; i++) {
        index.searchAsync(near().build()).join(); // behind all that it does by itself
      }
      assertEquals(0, engine.count("train") + engine.count("fit"));
      assertEquals(0, index.stats().trainings());
    }
  }

  @Test
  void theEstimateIsOfCodesAlone() {
    long floats = JavaRows.bytes(DIM, 100_000);
    try (AcceleratedVectorIndex index =
        builder(false).expectedVectors(100_000).deviceMemoryBudget(floats / 4).build()) {
      assertEquals(Encoding.INT8_ONLY, index.placement().encoding());
    }
    IndexBuilder less = builder(false).expectedVectors(100_000).deviceMemoryBudget(floats / 4 - 1);
    assertThrows(DeviceOutOfMemoryException.class, less::build);
  }

  @Test
  void whatCannotBeIsRefused() {
    engine.codesAlone = false;
    assertEquals(
        "build: encoding [INT8_ONLY] is not to be had on "
            + engine.device()
            + " with L2_SQUARED; AUTO keeps vectors of 32-bit floats there",
        assertThrows(BackendUnavailableException.class, builder(true)::build).getMessage());
    assertEquals(0, engine.calls.size());
    for (Metric metric : List.of(Metric.MANHATTAN, Metric.POINCARE)) {
      IndexBuilder never = new IndexBuilder(DIM, metric).encoding(Encoding.INT8_ONLY);
      String message = assertThrows(IllegalArgumentException.class, never::build).getMessage();
      assertTrue(message.startsWith("build: encoding [INT8_ONLY] with metric " + metric), message);
    }
    for (Encoding encoding : List.of(Encoding.F32, Encoding.INT8, Encoding.AUTO)) {
      IndexBuilder fits = builder(true).encoding(encoding);
      assertEquals(
          "build: codesFittedTo with encoding ["
              + encoding
              + "], whose codes are fitted to the vectors by themselves; INT8_ONLY takes a sample",
          assertThrows(IllegalArgumentException.class, fits::build).getMessage());
    }
  }

  private static String refused(Metric metric, float[]... sample) {
    IndexBuilder builder = new IndexBuilder(DIM, metric);
    return assertThrows(
            IllegalArgumentException.class, () -> builder.codesFittedTo(VectorBatch.of(sample)))
        .getMessage();
  }

  @Test
  void aSampleIsCheckedAtOnce() {
    float[] fine = {1, 2};
    assertEquals(
        "codesFittedTo: dimension [3], this index holds vectors of 2",
        refused(Metric.DOT, new float[3], new float[3]));
    assertEquals(
        "codesFittedTo: [1] vectors, codes are fitted to at least 2", refused(Metric.DOT, fine));
    assertEquals(
        "codesFittedTo: vector [1] has [NaN] at dimension [1], only finite numbers are allowed",
        refused(Metric.DOT, fine, new float[] {1, Float.NaN}));
    assertTrue(refused(Metric.COSINE, fine, new float[2]).contains("vector [1] has norm [0.0]"));
    assertTrue(refused(Metric.DOT, fine, new float[] {0x1p51f, 0}).contains("INT8_ONLY allows"));
    assertThrows(NullPointerException.class, () -> builder(false).codesFittedTo(null));
  }

  @Test
  void aSampleIsCopied() {
    float[][] mine = {{1, 2}, {3, 4}};
    IndexBuilder builder = builder(false).codesFittedTo(VectorBatch.of(mine));
    mine[1][1] = 7;
    builder.build().close();
    FitSample given = engine.fittedTo.getFirst();
    assertEquals(2, given.count());
    assertEquals(4, given.vectors().getAtIndex(ValueLayout.JAVA_FLOAT, 3));
    assertTrue(given.vectors().isNative() && given.vectors().isReadOnly());
  }

  /** Of many vectors some are taken, from everywhere and in their order. */
  @ParameterizedTest
  @ValueSource(ints = {2, 4095, 4096, 4097, 100_000})
  void asManyAreTakenAsAFitLooksAt(int count) {
    float[][] vectors = new float[count][1];
    for (int i = 0; i < count; i++) {
      vectors[i][0] = i;
    }
    FitSample sample = sample(VectorBatch.of(vectors));
    assertEquals(Math.min(count, 4096), sample.count());
    float[] taken = sample.vectors().toArray(ValueLayout.JAVA_FLOAT);
    double stratum = (double) count / taken.length;
    for (int i = 0; i < taken.length; i++) {
      assertEquals((i + .5) * stratum, taken[i] + .5, stratum / 2 + 1, "row " + i);
      assertTrue(i == 0 || taken[i] > taken[i - 1], "row " + i);
    }
  }

  // ---- the fit at the build

  @Test
  void theFitIsDoneBeforeAnythingIsAdded() {
    try (AcceleratedVectorIndex index = builder(true).build()) {
      assertEquals(engine.trainSteps, engine.count("fit"));
      assertEquals(1, engine.fittedTo.stream().distinct().count(), "the same at every step");
      assertEquals(1, index.stats().trainings());
      index.addAll(VectorBatch.of(vectors(3 * FROM)));
      index.searchAsync(near().build()).join();
      assertEquals(0, engine.count("train"));
    }
    assertEquals(1, engine.indexesClosed.get());
  }

  /** What a builder's thread threw, in the end. */
  private static Thread building(Runnable build, AtomicReference<@Nullable Throwable> thrown) {
    return Thread.ofPlatform()
        .start(
            () -> {
              try {
                build.run();
              } catch (Throwable e) {
                thrown.set(e);
              }
            });
  }

  private void assertNothingIsLeft() {
    assertEquals(1, engine.count("createAlone"));
    assertEquals(1, engine.indexesClosed.get());
    BatchingTest.await(() -> engine.closed.get() == 1);
  }

  @Test
  void anInterruptEndsTheStep() throws Exception {
    engine.hold("fit");
    AtomicReference<@Nullable Throwable> thrown = new AtomicReference<>();
    Thread caller = building(() -> builder(true).build(), thrown);
    engine.awaitHeld();
    caller.interrupt();
    caller.join(); // the step watches its cancel word
    assertInstanceOf(CancellationException.class, thrown.get());
    assertEquals(1, engine.count("fit"));
    assertNothingIsLeft();
  }

  @Test
  void anInterruptEndsAFitBetweenSteps() throws Exception {
    engine.deaf = true; // the step that is running ends as it would have
    engine.hold("fit");
    AtomicReference<@Nullable Throwable> thrown = new AtomicReference<>();
    Thread caller = building(() -> builder(true).build(), thrown);
    engine.awaitHeld();
    caller.interrupt();
    BatchingTest.await(() -> !caller.isInterrupted()); // noticed
    engine.open();
    caller.join();
    assertInstanceOf(CancellationException.class, thrown.get());
    assertEquals(1, engine.count("fit"));
    assertNothingIsLeft();
  }

  @Test
  void whatFailsLeavesNothing() {
    engine.failing = "fit";
    for (RuntimeException failure :
        List.of(
            new DeviceOutOfMemoryException("no room for the axes", 2, 1, 3),
            new IllegalStateException("a bug"),
            new DeviceLostException("unplugged"))) {
      engine.calls.clear();
      engine.indexesClosed.set(0);
      engine.closed.set(0);
      engine.failures.add(failure);
      RuntimeException told = assertThrows(RuntimeException.class, builder(true)::build);
      assertTrue(told.getMessage().contains(failure.getMessage()), told.getMessage());
      assertEquals(failure instanceof VectorIndexException, told.getClass() == failure.getClass());
      assertEquals(1, engine.count("fit"));
      assertNothingIsLeft();
    }
  }

  private AcceleratedVectorIndex onShared(boolean fitted) {
    IndexCounters counters = new IndexCounters();
    Completer completer = new Completer(null);
    DeviceOwner owner = DeviceOwner.acquire(engine.device(), device -> engine);
    try {
      return IndexFront.make(
          config(fitted),
          owner,
          new PlacementInfo(engine.device(), Optional.empty(), List.of()),
          counters,
          completer,
          new SlotTable(1),
          Elsewhere.NOWHERE,
          new FallbackReporter(counters, completer, null));
    } catch (RuntimeException | Error e) {
      owner.release();
      throw e;
    }
  }

  @Test
  void otherIndexesOfTheDeviceAreServedBetweenSteps() throws Exception {
    try (AcceleratedVectorIndex index = onShared(false)) {
      index.add(new float[] {1, 0});
      engine.trainSteps = Integer.MAX_VALUE; // it never ends by itself
      AtomicReference<@Nullable Throwable> thrown = new AtomicReference<>();
      Thread caller = building(() -> onShared(true), thrown);
      for (int i = 0; i < 20; i++) {
        long steps = engine.count("fit");
        BatchingTest.await(() -> engine.count("fit") > steps);
        assertEquals(1, index.search(near().build()).distance(0, 0));
      }
      caller.interrupt();
      caller.join();
      assertInstanceOf(CancellationException.class, thrown.get());
      assertEquals(1, engine.indexesClosed.get());
      assertEquals(1, index.search(near().build()).distance(0, 0));
    }
    assertEquals(2, engine.indexesClosed.get());
  }

  // ---- moves

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aMoveFitsThereFirstAndTakesWhatIsGivenBack(boolean fitted) throws Exception {
    try (AcceleratedVectorIndex index = builder(fitted).build()) {
      VectorHandle handle = index.add(new float[] {1.2f, 0});
      Placement there = index.retryAcceleration().get(20, TimeUnit.SECONDS);
      assertEquals(Encoding.INT8_ONLY, there.encoding());
      assertEquals(other.device(), there.device());
      assertEquals(there, index.placement());
      assertEquals(1, other.count("createAlone"));
      assertEquals(fitted ? other.trainSteps : 0, other.count("fit"));
      assertEquals(fitted ? 2 : 0, index.stats().trainings());
      assertEquals(1, index.get(handle).orElseThrow().vector()[0]);
      assertEquals(false, index.search(near().build()).certified(0));
      assertThrows(IllegalArgumentException.class, () -> index.search(near().exact(true).build()));
    }
    assertEquals(1, other.indexesClosed.get());
  }

  @Test
  void aFullDeviceIsLeftForAnother() {
    try (AcceleratedVectorIndex index = builder(true).build()) {
      VectorHandle before = index.add(new float[] {1.2f, 0});
      engine.failing = "add";
      engine.failures.add(new DeviceOutOfMemoryException("full", 1, 0, 1));
      VectorHandle after = index.add(new float[] {2.2f, 0});
      assertEquals(other.device(), index.placement().device());
      assertEquals(other.trainSteps, other.count("fit"));
      assertEquals(1, index.get(before).orElseThrow().vector()[0]);
      assertEquals(2, index.get(after).orElseThrow().vector()[0]);
    }
  }

  @Test
  void aDeviceWithoutCodesAloneIsNoPlaceToGo() {
    other.codesAlone = false;
    try (AcceleratedVectorIndex index = builder(true).build()) {
      VectorHandle handle = index.add(new float[] {1.2f, 0});
      CompletableFuture<Placement> move = index.retryAcceleration();
      Throwable cause =
          assertThrows(ExecutionException.class, () -> move.get(20, TimeUnit.SECONDS)).getCause();
      assertInstanceOf(BackendUnavailableException.class, cause);
      assertTrue(cause.getMessage().contains("encoding [INT8_ONLY]"), cause.getMessage());
      assertEquals(engine.device(), index.placement().device());
      assertEquals(1, index.get(handle).orElseThrow().vector()[0]);
      engine.failing = "add";
      engine.failures.add(new DeviceOutOfMemoryException("full", 1, 0, 1));
      DeviceOutOfMemoryException full =
          assertThrows(DeviceOutOfMemoryException.class, () -> index.add(new float[] {2, 0}));
      Throwable refused = full.getSuppressed()[0].getSuppressed()[0];
      assertTrue(refused.getMessage().contains("encoding [INT8_ONLY]"), refused.getMessage());
    }
  }

  @Test
  void aFitThatFailsThereLeavesTheIndexWhereItWas() {
    try (AcceleratedVectorIndex index = builder(true).build()) {
      VectorHandle handle = index.add(new float[] {1.2f, 0});
      other.failing = "fit";
      other.failures.add(new IllegalStateException("no axes"));
      CompletableFuture<Placement> move = index.retryAcceleration();
      Throwable cause =
          assertThrows(ExecutionException.class, () -> move.get(20, TimeUnit.SECONDS)).getCause();
      assertEquals("no axes", cause.getMessage());
      assertEquals(engine.device(), index.placement().device());
      assertEquals(1, index.get(handle).orElseThrow().vector()[0]);
      assertEquals(1, other.indexesClosed.get());
    }
  }

  @Test
  void closingEndsAFitThere() throws Exception {
    other.trainSteps = Integer.MAX_VALUE;
    AcceleratedVectorIndex index = builder(true).build();
    index.add(new float[] {1.2f, 0});
    CompletableFuture<Placement> move = index.retryAcceleration();
    BatchingTest.await(() -> other.count("fit") > 3);
    index.close();
    Throwable cause =
        assertThrows(ExecutionException.class, () -> move.get(20, TimeUnit.SECONDS)).getCause();
    assertInstanceOf(IndexClosedException.class, cause);
    assertEquals(1, engine.indexesClosed.get());
    assertEquals(1, other.indexesClosed.get());
    BatchingTest.await(() -> other.closed.get() == 1);
    assertEquals(0, index.stats().fallbacks().getOrDefault(FallbackReason.MEMORY_BUDGET, 0L));
  }
}
