// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.DeviceLostException;
import dev.nearfield.HandleSet;
import dev.nearfield.IndexClosedException;
import dev.nearfield.Knn;
import dev.nearfield.Metric;
import dev.nearfield.PinnedCarrier;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.SearchTimeoutException;
import dev.nearfield.Seed;
import dev.nearfield.Together;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandle;
import dev.nearfield.VectorIndexException;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.plain.JavaEngine;
import dev.nearfield.internal.turn.StackRoom;
import java.io.File;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Callers that do their own brief work, and those that do not. */
@Timeout(60)
class BriefWorkTest {
  private static final SearchRequest ANY = request(1, null);

  private final FakeEngine engine = new FakeEngine();
  private final AcceleratedVectorIndex index = index(engine, 1);

  /** The owner may still be at the end of its last turn. */
  private static void awaitIdle(FakeEngine engine, AcceleratedVectorIndex index) {
    BatchingTest.await(
        () -> {
          index.remove(index.add(new float[index.dimension()]));
          return engine.last("kill").thread() == Thread.currentThread();
        });
    engine.calls.clear();
  }

  @BeforeEach
  void idle() {
    awaitIdle(engine, index);
  }

  @AfterEach
  void close() {
    engine.open();
    index.close();
    assertEquals(1, engine.closed.get());
  }

  private static AcceleratedVectorIndex index(Engine engine, int dim) {
    if (engine instanceof FakeEngine fake) {
      fake.onHost = true;
    }
    return new IndexBuilder(dim, Metric.L2_SQUARED)
        .engine(engine)
        .batching(64, Duration.ZERO)
        .build();
  }

  private static SearchRequest request(int dim, Duration timeout) {
    SearchRequest.Builder builder = SearchRequest.builder().query(new float[dim]).topK(1);
    return timeout == null ? builder.build() : builder.timeout(timeout).build();
  }

  private static Throwable failure(CompletableFuture<?> future) {
    return assertThrows(ExecutionException.class, () -> future.get(20, TimeUnit.SECONDS))
        .getCause();
  }

  private void oneOfEach() {
    VectorHandle handle = index.add(new float[] {1});
    handle = index.replace(handle, new float[] {2}).orElseThrow();
    assertEquals(2, index.get(handle).orElseThrow().vector()[0]);
    assertEquals(4, index.search(ANY).hits(0).getFirst().distance());
    assertTrue(index.remove(handle));
  }

  private List<Thread> workers() {
    List<Thread> threads =
        engine.calls.stream()
            .filter(call -> !call.operation().equals("create"))
            .map(FakeEngine.Call::thread)
            .distinct()
            .toList();
    engine.calls.clear();
    return threads;
  }

  @Test
  void aCallerAloneDoesItsOwnWork() throws Exception {
    oneOfEach();
    assertEquals(List.of(Thread.currentThread()), workers());
    Thread virtual = Thread.ofVirtual().start(this::oneOfEach);
    virtual.join();
    assertEquals(
        List.of("nearfield-java:0"),
        workers().stream().map(Thread::getName).toList(),
        "a virtual thread may lose its carrier in the middle");
    awaitIdle(engine, index);
    index.add(new float[] {1});
    workers();
    index.searchAsync(ANY).get(20, TimeUnit.SECONDS);
    index.compact().get(20, TimeUnit.SECONDS);
    assertEquals(
        List.of("nearfield-java:0"),
        workers().stream().map(Thread::getName).toList(),
        "an asynchronous call does not block");
  }

  @Test
  void aDeviceThatIsNotTheHostIsLeftToItsOwner() {
    engine.onHost = false;
    oneOfEach();
    List<Thread> owner = workers();
    assertEquals(1, owner.size());
    assertNotEquals(List.of(Thread.currentThread()), owner);
  }

  @Test
  void longWorkIsLeftToTheOwner() {
    FakeEngine wide = new FakeEngine();
    int dim = 1 << 14;
    int rows = (1 << 22) / dim; // what a brief search may touch
    try (AcceleratedVectorIndex large = index(wide, dim)) {
      large.add(new float[dim]);
      awaitIdle(wide, large);
      large.search(request(dim, null));
      assertEquals(Thread.currentThread(), wide.last("search").thread());
      for (int i = 0; i < rows; i++) {
        large.add(new float[dim]);
      }
      large.search(request(dim, null));
      assertNotEquals(Thread.currentThread(), wide.last("search").thread());
    }
  }

  @Test
  void whoComesMeanwhileIsServedByTheOwner() throws Exception {
    index.add(new float[] {1});
    engine.hold("search");
    AtomicReference<Thread> own = new AtomicReference<>();
    CompletableFuture<Void> running =
        Together.start(
            () -> {
              own.set(Thread.currentThread());
              index.search(ANY);
            });
    engine.awaitHeld();
    List<CompletableFuture<Void>> queued = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      queued.add(Together.start(() -> index.search(ANY)));
    }
    BatchingTest.await(() -> index.stats().queued() == 3);
    engine.open();
    running.get(20, TimeUnit.SECONDS);
    for (CompletableFuture<Void> search : queued) {
      search.get(20, TimeUnit.SECONDS);
    }
    List<FakeEngine.Call> searches =
        engine.calls.stream().filter(call -> call.operation().equals("search")).toList();
    assertEquals(List.of(1, 3), searches.stream().map(FakeEngine.Call::batch).toList());
    assertEquals(own.get(), searches.getFirst().thread());
    assertEquals("nearfield-java:0", searches.getLast().thread().getName());
  }

  @Test
  void closeWaitsForACallersStepAndFailsTheRest() throws Exception {
    index.add(new float[] {1});
    engine.deaf = true;
    engine.hold("search");
    CompletableFuture<Void> running = Together.start(() -> index.search(ANY));
    engine.awaitHeld();
    CompletableFuture<SearchResult> queued = index.searchAsync(ANY);
    CompletableFuture<Void> closing = Together.start(index::close);
    BatchingTest.await( // a closed index refuses new work at once
        () -> {
          try {
            index.searchAsync(ANY).getNow(null);
            return false;
          } catch (CompletionException e) {
            return e.getCause() instanceof IndexClosedException;
          }
        });
    assertEquals(0, engine.closed.get());
    assertFalse(closing.isDone());
    engine.open();
    running.get(20, TimeUnit.SECONDS);
    assertInstanceOf(IndexClosedException.class, failure(queued));
    closing.get(20, TimeUnit.SECONDS);
    assertEquals(1, engine.indexesClosed.get());
  }

  @Test
  void anInterruptedCallerDoesNothingItself() {
    index.add(new float[] {1});
    engine.deaf = true;
    engine.hold("search");
    Thread.currentThread().interrupt();
    assertThrows(CancellationException.class, () -> index.search(ANY));
    assertTrue(Thread.interrupted());
    assertTrue(
        engine.calls.stream()
            .filter(call -> call.operation().equals("search"))
            .noneMatch(call -> call.thread() == Thread.currentThread()));
  }

  @Test
  void anInterruptDuringTheStepStaysSetAndTheAnswerIsGiven() throws Exception {
    index.add(new float[] {1});
    engine.hold("search");
    AtomicReference<Thread> own = new AtomicReference<>();
    CompletableFuture<Void> running =
        Together.start(
            () -> {
              own.set(Thread.currentThread());
              assertEquals(1, index.search(ANY).hitCount(0));
              assertTrue(Thread.interrupted());
            });
    engine.awaitHeld();
    own.get().interrupt();
    engine.release();
    running.get(20, TimeUnit.SECONDS);
  }

  @Test
  void timeOutsCountFromTheCallAndEndTheStep() {
    index.add(new float[] {1});
    workers();
    assertThrows(SearchTimeoutException.class, () -> index.search(request(1, Duration.ofNanos(1))));
    assertEquals(List.of(), workers());
    engine.hold("search");
    assertThrows(
        SearchTimeoutException.class, () -> index.search(request(1, Duration.ofMillis(20))));
    assertEquals(List.of(Thread.currentThread()), workers());
    engine.open();
  }

  @Test
  void afterALostDeviceEveryoneIsTold() {
    index.add(new float[] {1});
    engine.failing = "search";
    engine.failures.add(new DeviceLostException("unplugged"));
    assertThrows(DeviceLostException.class, () -> index.search(ANY));
    assertThrows(DeviceLostException.class, () -> index.search(ANY));
    assertThrows(DeviceLostException.class, () -> index.add(new float[] {1}));
  }

  /** A virtual thread must not have the turn: what it waits for may keep its carrier. */
  @Test
  void pinnedCarriersDoNotStopTheDevice() throws Exception {
    Path java = Path.of(System.getProperty("java.home"), "bin", "java");
    Process child =
        new ProcessBuilder(
                java.toString(),
                "-Djdk.virtualThreadScheduler.parallelism=1",
                "-Djdk.virtualThreadScheduler.maxPoolSize=1",
                "-cp",
                classes(IndexBuilder.class) + File.pathSeparator + classes(PinnedCarrier.class),
                PinnedCarrier.class.getName())
            .inheritIO()
            .start();
    try {
      assertTrue(child.waitFor(40, TimeUnit.SECONDS), "the child JVM never ended");
      assertEquals(0, child.exitValue(), "the child JVM says above who is stuck");
    } finally {
      child.destroyForcibly();
    }
  }

  private static Path classes(Class<?> of) throws URISyntaxException {
    return Path.of(of.getProtectionDomain().getCodeSource().getLocation().toURI());
  }

  /**
   * Calls in the last frames of a stack return or overflow, and the index goes on. Without {@link
   * StackRoom} one of a few runs hangs.
   */
  @RepeatedTest(5)
  void aStackOverflowHarmsOnlyItsOwnCall() throws Exception {
    try (AcceleratedVectorIndex shared = index(new JavaEngine(), 1)) {
      Deep deep = new Deep(shared, shared.add(new float[1]));
      for (int i = 0; i < 2000; i++) {
        deep.call(i);
      }
      AtomicReference<Throwable> wrong = new AtomicReference<>();
      Thread thread = new Thread(null, deep, "deep", 256 << 10);
      thread.setDaemon(true);
      thread.setUncaughtExceptionHandler((t, e) -> wrong.set(e));
      thread.start();
      assertTrue(thread.join(Duration.ofSeconds(20)), "a call in the last frames never returned");
      assertEquals(null, wrong.get());
      assertTrue(deep.overflows > 0);
      CompletableFuture<Void> other = Together.start(() -> shared.remove(shared.add(new float[1])));
      other.get(20, TimeUnit.SECONDS);
      shared.search(ANY);
    }
  }

  private static final class Deep implements Runnable {
    private static final int KINDS = 7;
    private static final VectorBatch ONE = VectorBatch.of(new float[1][1]);

    private final AcceleratedVectorIndex index;
    private VectorHandle own;
    private int deepest;
    private int target = -1;
    int overflows;

    Deep(AcceleratedVectorIndex index, VectorHandle own) {
      this.index = index;
      this.own = own;
    }

    void call(int which) {
      switch (which % KINDS) {
        case 0 -> index.search(ANY);
        case 1 -> own = index.replace(own, new float[1]).orElse(own);
        case 2 -> index.remove(index.add(new float[1]));
        case 3 -> index.search(filtered().filter(handle -> true).build());
        case 4 -> index.search(filtered().filter(set()).build());
        case 5 -> index.removeAll(index.addAll(ONE));
        default -> Knn.search(JavaEngine.DEVICE, Metric.DOT, ONE, ONE, 1);
      }
    }

    private static SearchRequest.Builder filtered() {
      return SearchRequest.builder().query(new float[1]).topK(1);
    }

    private HandleSet set() {
      return HandleSet.of(List.of(own));
    }

    @Override
    public void run() {
      for (int i = 0; i < 20; i++) { // until the recursion is compiled, for its frames shrink
        descend(0);
      }
      int bottom = deepest;
      for (int above = 0; above < Math.min(1500, bottom - 10); above++) {
        target = bottom - above;
        descend(0);
      }
    }

    private void descend(int level) {
      try {
        at(level);
      } catch (StackOverflowError e) {
        overflows++;
      }
    }

    private int at(int level) {
      deepest = level;
      if (level == target) {
        call(level);
        return 0;
      }
      return at(level + 1) + 1;
    }
  }

  /** A request that cannot even be looked at ends, and the next one is served. */
  @Test
  void aFailureOutsideTheDeviceEndsTheRequest() throws Exception {
    Jobs.Add broken = new Jobs.Add("add", null, null, 1);
    Object actor = field(index, "actor");
    assertTrue(((IndexActor) actor).serveHere(broken));
    CompletableFuture<Void> waiting =
        Together.start(() -> assertThrows(VectorIndexException.class, broken::await));
    waiting.get(20, TimeUnit.SECONDS);
    index.add(new float[] {1});
  }

  private static Object field(Object of, String name) throws ReflectiveOperationException {
    java.lang.reflect.Field field = of.getClass().getDeclaredField(name);
    field.setAccessible(true);
    return field.get(of);
  }

  /** The plain-Java engine; what its indexes do is watched, for it must not overlap. */
  private static Engine watched(Set<Thread> threads) {
    AtomicInteger inside = new AtomicInteger();
    JavaEngine real = new JavaEngine();
    return proxy(
        Engine.class,
        (self, method, arguments) -> {
          Object answer = method.invoke(real, arguments);
          return answer instanceof EngineIndex rows
              ? proxy(EngineIndex.class, watching(rows, inside, threads))
              : answer;
        });
  }

  private static InvocationHandler watching(
      EngineIndex rows, AtomicInteger inside, Set<Thread> threads) {
    return (self, method, arguments) -> {
      assertEquals(1, inside.incrementAndGet(), "two calls at a time");
      try {
        threads.add(Thread.currentThread());
        return method.invoke(rows, arguments);
      } catch (InvocationTargetException e) {
        throw e.getCause();
      } finally {
        inside.decrementAndGet();
      }
    };
  }

  private static <T> T proxy(Class<T> type, InvocationHandler handler) {
    return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, handler));
  }

  /** Threads that come together and apart, so that callers and the owner take turns. */
  @Test
  void callersAndOwnerNeverOverlap() throws Exception {
    Seed seed = new Seed("BriefWorkTest#callersAndOwnerNeverOverlap");
    Set<Thread> threads = Collections.synchronizedSet(new HashSet<>());
    try (AcceleratedVectorIndex shared =
        new IndexBuilder(2, Metric.L2_SQUARED)
            .engine(watched(threads))
            .autoCompaction(0.3)
            .build()) {
      List<Together.Task> tasks = new ArrayList<>();
      for (int t = 0; t < 6; t++) {
        Random random = seed.random(t);
        tasks.add(() -> work(shared, random));
      }
      Together.run(tasks);
      assertTrue(threads.size() > 2, () -> "only " + threads + " worked, " + seed);
    }
  }

  private static void work(AcceleratedVectorIndex index, Random random) throws Exception {
    Map<VectorHandle, float[]> own = new HashMap<>();
    for (int i = 0; i < 300; i++) {
      float[] vector = {random.nextFloat(), random.nextFloat()};
      own.put(index.add(vector), vector);
      if (random.nextInt(3) == 0) {
        index.search(SearchRequest.builder().query(vector).topK(3).build());
      }
      if (random.nextInt(3) == 0) {
        VectorHandle some = own.keySet().iterator().next();
        assertArrayEquals(own.remove(some), index.get(some).orElseThrow().vector());
        assertTrue(index.remove(some));
      }
      if (random.nextInt(10) == 0) {
        index.searchAsync(SearchRequest.builder().query(vector).topK(1).build()).join();
      }
      if (random.nextInt(20) == 0) {
        Thread.sleep(0, random.nextInt(200_000)); // let the others be alone
      }
    }
    own.forEach(
        (handle, vector) -> assertArrayEquals(vector, index.get(handle).orElseThrow().vector()));
  }
}
