// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Platform and virtual threads on one index. */
class ConcurrencyTest {
  private static final int DIM = 16;

  private static float[] vector(Random random) {
    float[] vector = new float[DIM];
    for (int i = 0; i < DIM; i++) {
      vector[i] = (float) random.nextGaussian();
    }
    return vector;
  }

  /** Whether a search for exactly this vector answers this handle at distance 0. */
  private static boolean finds(AcceleratedVectorIndex index, VectorHandle handle, float[] vector) {
    // Random vectors do not repeat, so nothing else is at distance 0.
    SearchResult result = index.search(SearchRequest.builder().query(vector).topK(2).build());
    return result.hits(0).stream()
        .anyMatch(hit -> hit.handle().equals(handle) && hit.distance() == 0);
  }

  /** What one thread put into the index and expects to find there. */
  private static final class Worker implements Together.Task {
    private final AcceleratedVectorIndex index;
    private final Random random;
    private final int operations;
    private final Set<VectorHandle> all;
    final Map<VectorHandle, float[]> own = new HashMap<>();

    Worker(AcceleratedVectorIndex index, Random random, int operations, Set<VectorHandle> all) {
      this.index = index;
      this.random = random;
      this.operations = operations;
      this.all = all;
    }

    @Override
    public void run() {
      for (int i = 0; i < operations; i++) {
        switch (random.nextInt(7)) {
          case 6 -> removeAll();
          case 0, 1 -> add();
          case 2 -> addAll();
          case 3 -> remove();
          case 4 -> replace();
          default -> searchAsync();
        }
      }
    }

    private void put(VectorHandle handle, float[] vector) {
      assertTrue(all.add(handle), () -> handle + " was issued twice");
      own.put(handle, vector);
    }

    private void add() {
      float[] vector = vector(random);
      VectorHandle handle = index.add(vector);
      put(handle, vector);
      assertTrue(finds(index, handle, vector), "an added vector is not found");
    }

    private void addAll() {
      float[][] vectors = new float[1 + random.nextInt(40)][];
      for (int i = 0; i < vectors.length; i++) {
        vectors[i] = vector(random);
      }
      VectorHandles handles = index.addAll(VectorBatch.of(vectors));
      for (int i = 0; i < vectors.length; i++) {
        put(handles.get(i), vectors[i]);
      }
      int one = random.nextInt(vectors.length);
      assertTrue(finds(index, handles.get(one), vectors[one]), "one of addAll is not found");
    }

    private VectorHandle pick() {
      return new ArrayList<>(own.keySet()).get(random.nextInt(own.size()));
    }

    private void remove() {
      if (own.isEmpty()) {
        return;
      }
      VectorHandle handle = pick();
      float[] vector = own.remove(handle);
      assertTrue(index.remove(handle), "nobody else removes this one");
      assertFalse(finds(index, handle, vector), "a removed vector is found");
      assertTrue(index.get(handle).isEmpty(), "a removed vector is there");
      assertFalse(index.remove(handle), "removed twice");
    }

    private void removeAll() {
      List<VectorHandle> some = new ArrayList<>(own.keySet());
      some = some.subList(0, random.nextInt(some.size() + 1));
      assertEquals(some.size(), index.removeAll(VectorHandles.of(some)));
      for (VectorHandle handle : some) {
        assertFalse(finds(index, handle, own.remove(handle)), "a removed vector is found");
      }
    }

    private void replace() {
      if (own.isEmpty()) {
        return;
      }
      VectorHandle old = pick();
      float[] before = own.remove(old);
      float[] vector = vector(random);
      VectorHandle handle = index.replace(old, vector).orElseThrow();
      put(handle, vector);
      assertTrue(finds(index, handle, vector), "the new vector is not found");
      assertFalse(finds(index, old, before), "the replaced vector is found");
    }

    private void searchAsync() {
      if (own.isEmpty()) {
        return;
      }
      VectorHandle handle = pick();
      SearchRequest request =
          SearchRequest.builder().query(own.get(handle)).topK(1).filter(handle::equals).build();
      List<Hit> hits = index.searchAsync(request).join().hits(0);
      assertEquals(1, hits.size());
      assertEquals(handle, hits.getFirst().handle());
      assertEquals(0, hits.getFirst().distance());
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = BackendKind.class,
      names = {"JAVA", "CPU", "WGPU", "CUDA"})
  void nothingIsLost(BackendKind kind) throws Exception {
    TestBackend backend = TestBackend.require(kind);
    Seed seed = new Seed("ConcurrencyTest#nothingIsLost");
    Set<VectorHandle> all = Collections.synchronizedSet(new HashSet<>());
    int stepRows = 1 + seed.random(99).nextInt(16); // large inserts and removals
    try (AcceleratedVectorIndex index = backend.builder(DIM, Metric.L2_SQUARED, stepRows).build()) {
      List<Worker> workers = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        workers.add(new Worker(index, seed.random(i), 60, all));
      }
      AtomicBoolean done = new AtomicBoolean();
      CompletableFuture<Void> compactor =
          Together.start(
              () -> {
                while (!done.get()) {
                  index.compact().join();
                }
              });
      try {
        Together.run(workers);
      } finally {
        done.set(true);
      }
      compactor.get(Together.PATIENCE.toSeconds(), TimeUnit.SECONDS);
      int live = 0;
      for (Worker worker : workers) {
        live += worker.own.size();
        worker.own.forEach(
            (handle, vector) ->
                assertArrayEquals(vector, index.get(handle).orElseThrow().vector()));
      }
      assertEquals(live, index.stats().live(), seed.toString());
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = BackendKind.class,
      names = {"JAVA", "CPU", "WGPU", "CUDA"})
  void oneOfManyWins(BackendKind kind) throws Exception {
    TestBackend backend = TestBackend.require(kind);
    Seed seed = new Seed("ConcurrencyTest#oneOfManyWins");
    int contested = 60;
    float[][] vectors = new float[contested][];
    for (int i = 0; i < contested; i++) {
      vectors[i] = vector(seed.random(i));
    }
    try (AcceleratedVectorIndex index = backend.builder(DIM, Metric.L2_SQUARED).build()) {
      VectorHandles handles = index.addAll(VectorBatch.of(vectors));
      AtomicInteger[] wins = new AtomicInteger[contested];
      List<VectorHandle> replaced = new CopyOnWriteArrayList<>();
      for (int i = 0; i < contested; i++) {
        wins[i] = new AtomicInteger();
      }
      List<Together.Task> tasks = new ArrayList<>();
      for (int t = 0; t < 6; t++) {
        boolean remover = t < 3;
        Random random = seed.random(1000 + t);
        tasks.add(
            () -> {
              for (int i = 0; i < contested; i++) {
                if (remover && index.remove(handles.get(i))) {
                  wins[i].incrementAndGet();
                }
                if (!remover) {
                  index.replace(handles.get(i), vector(random)).ifPresent(replaced::add);
                }
              }
            });
      }
      Together.run(tasks);
      int removed = 0;
      for (AtomicInteger win : wins) {
        assertTrue(win.get() <= 1, seed.toString());
        removed += win.get();
      }
      assertEquals(contested, removed + replaced.size(), seed.toString());
      assertEquals(replaced.size(), index.stats().live(), seed.toString());
      assertEquals(replaced.size(), new HashSet<>(replaced).size(), seed.toString());
      for (VectorHandle handle : replaced) {
        assertTrue(index.get(handle).isPresent(), seed.toString());
      }
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = BackendKind.class,
      names = {"JAVA", "CPU", "WGPU", "CUDA"})
  void closeEndsEverything(BackendKind kind) throws Exception {
    TestBackend backend = TestBackend.require(kind);
    Seed seed = new Seed("ConcurrencyTest#closeEndsEverything");
    for (int round = 0; round < 5; round++) {
      AcceleratedVectorIndex index = backend.builder(DIM, Metric.L2_SQUARED).build();
      Random random = seed.random(round);
      index.add(vector(random));
      List<CompletableFuture<?>> futures = new CopyOnWriteArrayList<>();
      List<Together.Task> tasks = new ArrayList<>();
      for (int t = 0; t < 6; t++) {
        Random own = seed.random(100 * round + t + 10);
        tasks.add(() -> workUntilClosed(index, own, futures));
      }
      for (int t = 0; t < 2; t++) {
        int delay = random.nextInt(40);
        tasks.add(
            () -> {
              Thread.sleep(delay);
              index.close();
            });
      }
      Together.run(tasks);
      for (CompletableFuture<?> future : futures) {
        try {
          future.get(Together.PATIENCE.toSeconds(), TimeUnit.SECONDS);
        } catch (java.util.concurrent.ExecutionException e) {
          assertEquals(IndexClosedException.class, e.getCause().getClass(), seed.toString());
        }
      }
      index.close();
      assertThrows(IndexClosedException.class, () -> index.add(vector(random)));
    }
  }

  private static void workUntilClosed(
      AcceleratedVectorIndex index, Random random, List<CompletableFuture<?>> futures) {
    try {
      while (true) {
        float[] vector = vector(random);
        SearchRequest request = SearchRequest.builder().query(vector).topK(3).build();
        switch (random.nextInt(5)) {
          case 0 -> index.add(vector);
          case 1 -> index.remove(index.add(vector));
          case 2 -> index.search(request);
          case 3 -> futures.add(index.compact());
          default -> futures.add(index.searchAsync(request));
        }
      }
    } catch (IndexClosedException expected) {
      // The only way out; anything else fails the test.
    } catch (CompletionException e) {
      throw new AssertionError("a synchronous call threw a wrapped failure", e);
    }
  }
}
