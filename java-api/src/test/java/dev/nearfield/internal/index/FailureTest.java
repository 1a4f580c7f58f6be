// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.Acceleration;
import dev.nearfield.BackendKind;
import dev.nearfield.CompactionReport;
import dev.nearfield.DeviceLostException;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.ErrorCode;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandle;
import dev.nearfield.VectorHandles;
import dev.nearfield.VectorIndexException;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.plain.JavaRows;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;

/** Every error of the API: its type, the values in its message, and the index unharmed. */
@Timeout(60)
class FailureTest {
  private static void refused(String expected, Executable call) {
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, call);
    assertTrue(e.getMessage().contains(expected), e.getMessage());
  }

  private static SearchRequest.Builder query(float... values) {
    return SearchRequest.builder().query(values).topK(3);
  }

  private static AcceleratedVectorIndex index(Metric metric) {
    return AcceleratedVectorIndex.builder(2, metric).backend(BackendKind.JAVA).build();
  }

  @Test
  void vectorsAndQueriesThatAMetricRefuses() {
    float huge = 0x1p63f;
    for (Metric metric : Metric.values()) {
      try (AcceleratedVectorIndex index = index(metric)) {
        VectorHandle kept = index.add(new float[] {0.5f, 0.5f});
        refused("dimension [3]", () -> index.add(new float[3]));
        refused("dimension [1]", () -> index.addAll(VectorBatch.of(new float[4][1])));
        refused("dimension [1]", () -> index.search(query(1).build()));
        refused("dimension [1]", () -> index.searchAsync(query(1).build()));
        refused("[NaN] at dimension [1]", () -> index.add(new float[] {0, Float.NaN}));
        refused(
            "[-Infinity] at dimension [0]",
            () -> index.add(new float[] {Float.NEGATIVE_INFINITY, 0}));
        refused(
            "vector [2] has [NaN]",
            () ->
                index.addAll(
                    VectorBatch.of(new float[][] {{.1f, .1f}, {.1f, .1f}, {Float.NaN, 0}})));
        refused("[Infinity]", () -> index.replace(kept, new float[] {Float.POSITIVE_INFINITY, 0}));
        refused("[NaN]", () -> query(0, Float.NaN).build());
        refused("norm", () -> index.add(new float[] {huge, 0}));
        refused("norm", () -> index.search(query(huge, 0).build()));
        assertEquals(1, index.stats().live());
        assertEquals(0, index.stats().deleted());
        assertEquals(1, index.search(query(0.5f, 0.5f).build()).hitCount(0));
      }
    }
    try (AcceleratedVectorIndex cosine = index(Metric.COSINE)) {
      refused("COSINE needs at least", () -> cosine.add(new float[2]));
      refused("COSINE needs at least", () -> cosine.search(query(0, 0).build()));
    }
    try (AcceleratedVectorIndex ball = index(Metric.POINCARE)) {
      refused("POINCARE allows at most", () -> ball.add(new float[] {1, 0}));
      refused("POINCARE allows at most", () -> ball.add(new float[] {0.999995f, 0}));
      refused("POINCARE allows at most", () -> ball.search(query(0, -1).build()));
      ball.add(new float[2]);
    }
    try (AcceleratedVectorIndex wide =
        AcceleratedVectorIndex.builder(2, Metric.POINCARE)
            .backend(BackendKind.JAVA)
            .poincareMaxNorm(1 - 1e-7)
            .build()) {
      wide.add(new float[] {0.999995f, 0});
      refused("POINCARE allows at most", () -> wide.add(new float[] {1, 0}));
    }
  }

  @Test
  void requestsAndBuilders() {
    refused("[0] queries", () -> SearchRequest.builder().topK(1).build());
    refused("topK [0]", () -> query(1).topK(0).build());
    refused("[0] floats", () -> query());
    refused("minScore [NaN]", () -> query(1).minScore(Float.NaN));
    refused("maxDistance [NaN]", () -> query(1).maxDistance(Float.NaN));
    refused("timeout [PT0S]", () -> query(1).timeout(Duration.ZERO));
    refused("dimension [0]", () -> AcceleratedVectorIndex.builder(0, Metric.DOT));
    refused("dimension [65537]", () -> AcceleratedVectorIndex.builder(65537, Metric.DOT));
    AcceleratedVectorIndex.Builder builder = AcceleratedVectorIndex.builder(1, Metric.DOT);
    refused("[0]", () -> builder.deviceMemoryBudget(0));
    refused("[-1]", () -> builder.expectedVectors(-1));
    refused("[0]", () -> builder.batching(0, Duration.ZERO));
    refused("[PT-1S]", () -> builder.batching(1, Duration.ofSeconds(-1)));
    refused("[0]", () -> builder.mailbox(0, Duration.ZERO));
    refused("[0.0]", () -> builder.autoCompaction(0));
    refused("[NaN]", () -> builder.autoCompaction(Double.NaN));
    refused("[1.0]", () -> builder.poincareMaxNorm(1));
    refused(
        "contradicts",
        () -> builder.backend(BackendKind.JAVA).acceleration(Acceleration.REQUIRED).build());
    assertThrows(NullPointerException.class, () -> AcceleratedVectorIndex.builder(1, null));
    assertThrows(NullPointerException.class, () -> SearchRequest.builder().query(null));
    assertThrows(NullPointerException.class, () -> builder.executor(null));
    try (AcceleratedVectorIndex index = index(Metric.DOT)) {
      assertThrows(NullPointerException.class, () -> index.add(null));
      assertThrows(NullPointerException.class, () -> index.addAll(null));
      assertThrows(NullPointerException.class, () -> index.search(null));
      assertThrows(NullPointerException.class, () -> index.searchAsync(null));
      assertThrows(NullPointerException.class, () -> index.remove(null));
      assertThrows(NullPointerException.class, () -> index.get(null));
      assertThrows(NullPointerException.class, () -> index.removeIf(null));
    }
  }

  @Test
  void handles() {
    assertEquals(new VectorHandle(0x1234), VectorHandle.parse("0000000000001234"));
    assertEquals("ffffffffffffffff", new VectorHandle(-1).toString());
    assertEquals(new VectorHandle(-1), VectorHandle.parse("ffffffffffffffff"));
    refused("[12]", () -> VectorHandle.parse("12"));
    refused("[000000000000123g]", () -> VectorHandle.parse("000000000000123g"));
    refused("[+000000000001234]", () -> VectorHandle.parse("+000000000001234"));
    try (AcceleratedVectorIndex index = index(Metric.DOT);
        AcceleratedVectorIndex other =
            new IndexBuilder(2, Metric.DOT).backend(BackendKind.JAVA).firstGeneration(5).build();
        AcceleratedVectorIndex another =
            new IndexBuilder(2, Metric.DOT).backend(BackendKind.JAVA).firstGeneration(9).build()) {
      VectorHandle foreign = other.add(new float[2]);
      another.add(new float[2]);
      refused(foreign.toString(), () -> another.remove(foreign));
      VectorHandle own = index.add(new float[2]);
      VectorHandles mixed =
          VectorHandles.of(List.of(own, new VectorHandle(own.bits() + (9L << 32))));
      refused("removeAll", () -> index.removeAll(mixed));
      assertTrue(index.get(own).isPresent(), "none is removed when one is foreign");
      assertEquals(1, index.removeAll(VectorHandles.of(List.of(own, own))));
      assertEquals(0, index.removeAll(VectorHandles.of(List.of(own))));
      assertEquals(0, index.removeAll(VectorHandles.of(List.of())));
    }
  }

  @Test
  void memoryIsCheckedBeforeAnythingIsAllocated() {
    FakeEngine engine = new FakeEngine();
    long slab = JavaRows.bytes(2, 1);
    try (AcceleratedVectorIndex index =
        new IndexBuilder(2, Metric.DOT).engine(engine).deviceMemoryBudget(slab).build()) {
      index.add(new float[2]);
      int tooMany = (int) (slab / 8);
      long adds = engine.count("add");
      DeviceOutOfMemoryException e =
          assertThrows(
              DeviceOutOfMemoryException.class,
              () -> index.addAll(VectorBatch.of(new float[tooMany][2])));
      assertEquals(slab, e.total());
      assertTrue(e.requested() > slab, e.getMessage());
      assertEquals(adds, engine.count("add"), "the device was not asked");
      assertEquals(1, index.stats().live());
      index.add(new float[2]);
    }
    FakeEngine full = new FakeEngine();
    try (AcceleratedVectorIndex index = new IndexBuilder(2, Metric.DOT).engine(full).build()) {
      full.freeBytes = 1000;
      DeviceOutOfMemoryException e =
          assertThrows(DeviceOutOfMemoryException.class, () -> index.add(new float[2]));
      assertEquals(1000, e.free());
      full.freeBytes = -1; // cannot tell
      index.add(new float[2]);
      full.freeBytes = 0; // the slab is there already
      index.add(new float[2]);
    }
  }

  @Test
  void aLostDeviceTakesTheIndexWithItAndSaysSo() throws Exception {
    FakeEngine engine = new FakeEngine();
    AcceleratedVectorIndex index = new IndexBuilder(1, Metric.DOT).engine(engine).build();
    VectorHandle handle = index.add(new float[] {1});
    engine.hold("search");
    CompletableFuture<SearchResult> running = index.searchAsync(query(1).build());
    engine.awaitHeld();
    CompletableFuture<CompactionReport> queued = index.compact();
    engine.failing = "search";
    engine.failures.add(new DeviceLostException("unplugged"));
    engine.open();
    for (CompletableFuture<?> failed : List.of(running, queued)) {
      Throwable cause =
          assertThrows(ExecutionException.class, () -> failed.get(20, TimeUnit.SECONDS)).getCause();
      assertInstanceOf(DeviceLostException.class, cause);
      assertTrue(cause.getMessage().contains("unplugged"), cause.getMessage());
      assertTrue(cause.getMessage().contains("vectors of this index"), cause.getMessage());
    }
    assertThrows(DeviceLostException.class, () -> index.add(new float[] {1}));
    assertThrows(DeviceLostException.class, () -> index.get(handle));
    assertThrows(DeviceLostException.class, () -> index.search(query(1).build()));
    index.close();
    assertEquals(1, engine.closed.get());
  }

  @Test
  void aFaultOfTheEngineFailsItsCallOnly() {
    FakeEngine engine = new FakeEngine();
    try (AcceleratedVectorIndex index = new IndexBuilder(1, Metric.DOT).engine(engine).build()) {
      VectorHandle handle = index.add(new float[] {1});
      for (String operation : List.of("search", "read", "kill", "replace", "add")) {
        engine.failing = operation;
        engine.failures.add(new IllegalStateException("a bug"));
        VectorIndexException e =
            assertThrows(
                VectorIndexException.class,
                () -> {
                  switch (operation) {
                    case "search" -> index.search(query(1).build());
                    case "read" -> index.get(handle);
                    case "kill" -> index.remove(handle);
                    case "replace" -> index.replace(handle, new float[] {2});
                    default -> index.add(new float[] {2});
                  }
                });
        assertEquals(ErrorCode.NATIVE, e.code());
        assertInstanceOf(IllegalStateException.class, e.getCause());
        assertEquals(1, index.stats().live());
        assertEquals(1, index.search(query(1).build()).hitCount(0));
        assertEquals(1, index.get(handle).orElseThrow().vector()[0]);
      }
      engine.failing = "search";
      engine.failures.add(new OutOfMemoryError("Java heap"));
      assertThrows(VectorIndexException.class, () -> index.search(query(1).build()));
      assertTrue(index.remove(handle));
      assertFalse(index.remove(handle));
    }
  }

  @Test
  void anEngineThatDoesNotOpenLeavesNoThread() throws InterruptedException {
    FakeEngine engine = new FakeEngine();
    engine.failing = "create";
    engine.failures.add(new DeviceOutOfMemoryException("no room", 1, 0, 1));
    assertThrows(
        DeviceOutOfMemoryException.class,
        () -> new IndexBuilder(1, Metric.DOT).engine(engine).build());
    assertEquals(1, engine.closed.get());
    assertTrue(engine.calls.getFirst().thread().join(Duration.ofSeconds(20)));
  }
}
