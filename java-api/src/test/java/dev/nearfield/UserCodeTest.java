// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;

import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.index.IndexBuilder;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Code of the user never runs on the owner thread, whatever the executor does. */
@Timeout(60)
class UserCodeTest {
  private static final SearchRequest ANY =
      SearchRequest.builder().query(new float[] {0}).topK(1).build();

  private final FakeEngine engine = new FakeEngine();

  private AcceleratedVectorIndex index(Executor executor) {
    AcceleratedVectorIndex index =
        new IndexBuilder(1, Metric.L2_SQUARED).engine(engine).executor(executor).build();
    index.add(new float[] {1});
    return index;
  }

  private Thread owner() {
    return engine.calls.getFirst().thread();
  }

  @Test
  void dependentsOfAnExecutorThatRunsInPlaceAreElsewhere() throws Exception {
    CompletableFuture<Thread> executing = new CompletableFuture<>();
    try (AcceleratedVectorIndex index =
        index(
            task -> {
              executing.complete(Thread.currentThread());
              task.run();
            })) {
      engine.hold("search");
      CompletableFuture<SearchResult> search = index.searchAsync(ANY);
      CompletableFuture<Thread> dependent = search.thenApply(result -> Thread.currentThread());
      engine.awaitHeld();
      engine.open();
      assertNotSame(owner(), dependent.get(20, TimeUnit.SECONDS));
      assertNotSame(owner(), executing.get(20, TimeUnit.SECONDS));
    }
  }

  @Test
  void aDependentMayCallTheIndex() throws Exception {
    try (AcceleratedVectorIndex index = index(Runnable::run)) {
      CompletableFuture<SearchResult> twice =
          index
              .searchAsync(ANY)
              .thenApply(result -> index.search(ANY))
              .thenCompose(result -> index.searchAsync(ANY));
      assertEquals(1, twice.get(20, TimeUnit.SECONDS).hitCount(0));
    }
  }

  @Test
  void anExecutorThatRefusesOrBlocksHoldsNothingUp() throws Exception {
    try (AcceleratedVectorIndex index =
        index(
            task -> {
              throw new RejectedExecutionException("full");
            })) {
      assertEquals(1, index.searchAsync(ANY).get(20, TimeUnit.SECONDS).hitCount(0));
    }
    CountDownLatch never = new CountDownLatch(1);
    try (AcceleratedVectorIndex index =
        new IndexBuilder(1, Metric.L2_SQUARED)
            .engine(new FakeEngine())
            .executor(
                task -> {
                  try {
                    never.await();
                  } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                  }
                })
            .build()) {
      index.add(new float[] {1});
      CompletableFuture<SearchResult> stuck = index.searchAsync(ANY);
      assertEquals(1, index.search(ANY).hitCount(0));
      assertFalse(stuck.isDone());
      never.countDown();
    }
  }

  @Test
  void predicatesRunOnTheCallersThreadAndMayCallTheIndex() {
    try (AcceleratedVectorIndex index = index(Runnable::run)) {
      List<Thread> threads = new CopyOnWriteArrayList<>();
      SearchRequest filtered =
          SearchRequest.builder()
              .query(new float[] {0})
              .topK(1)
              .filter(
                  handle -> {
                    threads.add(Thread.currentThread());
                    return index.get(handle).isPresent();
                  })
              .build();
      assertEquals(1, index.search(filtered).hitCount(0));
      assertEquals(1, index.searchAsync(filtered).join().hitCount(0));
      assertEquals(2, threads.size());
      threads.forEach(thread -> assertSame(Thread.currentThread(), thread));
    }
  }

  @Test
  void aListenerThatThrowsHarmsNothing() throws Exception {
    CompletableFuture<Thread> heard = new CompletableFuture<>();
    System.setProperty("nearfield.cpu.enabled", "false");
    System.setProperty("nearfield.wgpu.enabled", "false");
    System.setProperty("nearfield.cuda.enabled", "false");
    System.setProperty("nearfield.metal.enabled", "false");
    try (AcceleratedVectorIndex index =
        AcceleratedVectorIndex.builder(1, Metric.L2_SQUARED)
            .acceleration(Acceleration.PREFERRED)
            .listener(
                (operation, reason, cause) -> {
                  assertEquals("build", operation);
                  assertEquals(FallbackReason.NO_NATIVE, reason);
                  heard.complete(Thread.currentThread());
                  throw new IllegalStateException("from the listener");
                })
            .build()) {
      heard.get(20, TimeUnit.SECONDS);
      index.add(new float[] {1});
      SearchResult result = index.search(ANY);
      assertEquals(FallbackReason.NO_NATIVE, result.execution().fallback().orElseThrow());
      assertEquals(BackendKind.JAVA, result.execution().backend());
      assertEquals(1L, index.stats().fallbacks().get(FallbackReason.NO_NATIVE));
      assertEquals(4, index.placement().whyNotAccelerated().size());
    } finally {
      System.clearProperty("nearfield.cpu.enabled");
      System.clearProperty("nearfield.wgpu.enabled");
      System.clearProperty("nearfield.cuda.enabled");
      System.clearProperty("nearfield.metal.enabled");
    }
  }
}
