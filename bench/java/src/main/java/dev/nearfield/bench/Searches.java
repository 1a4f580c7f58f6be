// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.Device;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandles;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import org.jspecify.annotations.Nullable;

/** An index filled from a file, and what to search in it. */
final class Searches implements AutoCloseable {
  /**
   * Untimed calls before the first run: enough for the compiler to be done with short calls; long
   * ones end after this time instead, and do not depend on it.
   */
  private static final int WARM_CALLS = 20_000;

  private static final long WARM_NANOS = 2_000_000_000L;

  private final AcceleratedVectorIndex index;
  private final VectorHandles handles;
  private @Nullable Fbin queries;
  private int batch = 1;
  private int k = 10;
  private int clients = 1;
  private long next; // the call of the next run, counted on from run to run

  private Searches(AcceleratedVectorIndex index, VectorHandles handles) {
    this.index = index;
    this.handles = handles;
  }

  static Searches load(
      Device device, Metric metric, Path base, String scanDtype, Map<String, Object> reply)
      throws IOException, InterruptedException {
    try (Fbin rows = Fbin.read(base)) {
      AcceleratedVectorIndex index = Inserts.index(device, metric, rows, scanDtype);
      try {
        VectorBatch all = rows.batch(0, rows.rows);
        long start = System.nanoTime();
        VectorHandles handles = index.addAll(all);
        reply.put("rows", rows.rows);
        reply.put("dim", rows.dim);
        reply.put("seconds", (System.nanoTime() - start) / 1e9);
        Encodings.awaitFit(index, rows.rows, scanDtype);
        reply.put("device_bytes", index.stats().deviceBytes());
        reply.put("workspace_bytes", 0);
        return new Searches(index, handles);
      } catch (RuntimeException | InterruptedException | Error e) {
        index.close();
        throw e;
      }
    }
  }

  void workload(Path file, int batch, int k, int clients, Map<String, Object> reply)
      throws Exception {
    Fbin read = Fbin.read(file);
    if (read.rows < batch || batch < 1 || clients < 1) {
      read.close();
      throw new IllegalArgumentException(
          "workload: batches of [%d] by [%d] clients from a file of %d queries"
              .formatted(batch, clients, read.rows));
    }
    closeQueries();
    this.queries = read;
    this.batch = batch;
    this.k = k;
    this.clients = clients;
    this.next = 0;
    warm();
    reply.put("settings", "");
  }

  private Fbin queries() {
    if (queries == null) {
      throw new IllegalStateException("command: workload comes first");
    }
    return queries;
  }

  private void warm() throws Exception {
    int some = 1;
    int done = 0;
    for (long start = System.nanoTime();
        done < WARM_CALLS && System.nanoTime() - start < WARM_NANOS;
        done += some) {
      run(some, new HashMap<>());
      some = Math.min(2 * some, WARM_CALLS / 10);
    }
    next = 0;
  }

  private SearchResult search(VectorBatch vectors) {
    return index.search(SearchRequest.builder().queries(vectors).topK(k).build());
  }

  /** The batches of successive calls of one client. */
  private VectorBatch[] batches(int client, int calls) {
    Fbin file = queries();
    int slots = file.rows / batch;
    long first = (long) client * slots / clients + next;
    VectorBatch[] batches = new VectorBatch[calls];
    for (int i = 0; i < calls; i++) {
      batches[i] = file.batch((int) ((first + i) % slots) * batch, batch);
    }
    return batches;
  }

  void run(int calls, Map<String, Object> reply) throws Exception {
    long[] nanos = new long[calls * clients];
    CountDownLatch begin = new CountDownLatch(1);
    List<FutureTask<Void>> tasks = new ArrayList<>();
    for (int c = 0; c < clients; c++) {
      VectorBatch[] batches = batches(c, calls);
      int at = c * calls;
      tasks.add(
          new FutureTask<>(
              () -> {
                begin.await();
                for (int i = 0; i < calls; i++) {
                  long start = System.nanoTime();
                  search(batches[i]);
                  nanos[at + i] = System.nanoTime() - start;
                }
                return null;
              }));
    }
    for (FutureTask<Void> task : tasks.subList(1, clients)) {
      Thread.ofPlatform().name("client").start(task);
    }
    long start = System.nanoTime();
    begin.countDown();
    tasks.getFirst().run(); // a single client needs no other thread
    for (FutureTask<Void> task : tasks) {
      await(task);
    }
    long end = System.nanoTime();
    next += calls;
    reply.put("seconds", (end - start) / 1e9);
    new Timings(nanos).reportTo(reply);
  }

  private static void await(FutureTask<Void> task) throws Exception {
    try {
      task.get();
    } catch (ExecutionException e) {
      throw e.getCause() instanceof Exception cause ? cause : e;
    }
  }

  /**
   * Writes the answers to the first queries (0: to all): row numbers of the base file, and
   * distances.
   */
  void answers(String to, int count) throws IOException {
    Map<Long, Integer> rowOf = new HashMap<>();
    for (int row = 0; row < handles.size(); row++) {
      rowOf.put(handles.bits(row), row);
    }
    Fbin file = queries();
    int wanted = count == 0 ? file.rows : Math.min(count, file.rows);
    try (var rows = new BufferedOutputStream(Files.newOutputStream(Path.of(to + ".rows")));
        var distances =
            new BufferedOutputStream(Files.newOutputStream(Path.of(to + ".distances")))) {
      ByteBuffer row = ByteBuffer.allocate(k * Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      ByteBuffer distance = ByteBuffer.allocate(k * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      for (int first = 0; first < wanted; first += batch) {
        SearchResult found = search(file.batch(first, Math.min(batch, wanted - first)));
        for (int q = 0; q < found.queryCount(); q++) {
          for (int hit = 0; hit < k; hit++) {
            boolean there = hit < found.hitCount(q);
            row.putLong(hit * Long.BYTES, there ? rowOf.get(found.handleBits(q, hit)) : -1);
            distance.putFloat(hit * Float.BYTES, there ? found.distance(q, hit) : Float.NaN);
          }
          rows.write(row.array());
          distances.write(distance.array());
        }
      }
    }
  }

  private void closeQueries() {
    if (queries != null) {
      queries.close();
      queries = null;
    }
  }

  @Override
  public void close() {
    closeQueries();
    index.close();
  }
}
