// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.BackendUnavailableException;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.Encoding;
import dev.nearfield.FallbackReason;
import dev.nearfield.IndexClosedException;
import dev.nearfield.Metric;
import dev.nearfield.Placement;
import dev.nearfield.VectorHandle;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.move.Elsewhere;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.value.PlacementInfo;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Where an index of codes alone moves to, and what it is there. */
@Timeout(60)
class CodesAloneMoveTest {
  private final FakeEngine engine = BuildingTest.alone();
  private final FakeEngine other = BuildingTest.alone();

  @AfterEach
  void close() {
    engine.open();
    other.open();
  }

  private IndexBuilder builder(boolean fitted) {
    IndexBuilder builder =
        new IndexBuilder(BuildingTest.DIM, Metric.L2_SQUARED)
            .engine(engine)
            .elsewhere(new Route(fitted))
            .encoding(Encoding.INT8_ONLY)
            .codedFrom(BuildingTest.FROM);
    return fitted ? builder.codesFittedTo(BuildingTest.SAMPLE) : builder;
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
          BuildingTest.config(fitted));
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
      assertEquals(false, index.search(BuildingTest.near().build()).certified(0));
      assertThrows(
          IllegalArgumentException.class,
          () -> index.search(BuildingTest.near().exact(true).build()));
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
