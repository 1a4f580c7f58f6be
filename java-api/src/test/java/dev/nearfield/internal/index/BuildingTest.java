// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.BackendKind;
import dev.nearfield.BackendUnavailableException;
import dev.nearfield.DeviceLostException;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.Encoding;
import dev.nearfield.IndexSpec;
import dev.nearfield.Metric;
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
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** How an index of codes alone is made and fitted to a sample. */
@Timeout(60)
class BuildingTest {
  static final int DIM = 2;
  static final int FROM = 40;
  static final VectorBatch SAMPLE = VectorBatch.of(new float[][] {{1, 2}, {3, 4}, {5, 6}});

  private static final AtomicInteger DEVICES = new AtomicInteger();

  private final FakeEngine engine = alone();

  /** Of a device of its own: the owner of another test's may still be open. */
  static FakeEngine alone() {
    int ordinal = 60 + DEVICES.getAndIncrement();
    FakeEngine engine =
        new FakeEngine(new DeviceInfo(BackendKind.CUDA, ordinal, "fake", "none", 1000, false));
    engine.codes = true;
    engine.codesAlone = true;
    return engine;
  }

  @AfterEach
  void close() {
    engine.open();
  }

  private IndexBuilder builder(boolean fitted) {
    IndexBuilder builder =
        new IndexBuilder(DIM, Metric.L2_SQUARED)
            .engine(engine)
            .encoding(Encoding.INT8_ONLY)
            .codedFrom(FROM);
    return fitted ? builder.codesFittedTo(SAMPLE) : builder;
  }

  static IndexConfig config(boolean fitted) {
    return new IndexConfig(
        DIM,
        Metric.L2_SQUARED,
        new IndexSpec.Flat(Encoding.INT8_ONLY),
        fitted ? FitSample.of("test", SAMPLE, new VectorCheck(Metric.L2_SQUARED, DIM, 0)) : null,
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

  static SearchRequest.Builder near() {
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

  /** The failure that is told is that of the fit; the device serves others as before. */
  @Test
  void whatCannotEvenBeClosedEndsTheBuild() throws Exception {
    try (AcceleratedVectorIndex index = onShared(false)) {
      index.add(new float[] {1, 0});
      engine.failing = "fit,close";
      IllegalStateException bug = new IllegalStateException("a bug");
      OutOfMemoryError untidy = new OutOfMemoryError("made up");
      engine.failures.addAll(List.of(bug, untidy));
      VectorIndexException told = assertThrows(VectorIndexException.class, () -> onShared(true));
      assertSame(bug, told.getCause());
      assertSame(untidy, bug.getSuppressed()[0]);
      assertEquals(1, index.search(near().build()).distance(0, 0));
      assertEquals(1, engine.count("fit"));
    }
    assertEquals(2, engine.indexesClosed.get());
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
}
