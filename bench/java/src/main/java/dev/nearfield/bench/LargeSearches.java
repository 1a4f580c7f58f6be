// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.IndexBusyException;
import dev.nearfield.IndexClosedException;
import dev.nearfield.Knn;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.VectorHandle;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.FutureTask;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/** A search of thousands of queries, and who waits meanwhile. */
final class LargeSearches {
  private static final int WARM_PROBES = 200;

  private static final int QUEUE = 1024; // these are the defaults
  private static final Duration MAX_WAIT = Duration.ofSeconds(10);

  private final Turns.Setting setting;

  LargeSearches(Turns.Setting setting) {
    this.setting = setting;
  }

  void besideSearch(Map<String, Object> reply) throws Exception {
    try (Rows queries = new Rows(setting.queries(), setting.dim(), 2);
        Rows rows = new Rows(setting.rows(), setting.dim(), 1);
        AcceleratedVectorIndex index = filled(rows)) {
      SearchRequest bulk = queries.search();
      probe(index, () -> index.search(bulk), reply);
    }
  }

  void besideKnn(Map<String, Object> reply) throws Exception {
    try (Rows queries = new Rows(setting.queries(), setting.dim(), 2);
        Rows rows = new Rows(setting.rows(), setting.dim(), 1);
        AcceleratedVectorIndex index = filled(rows)) {
      probe(
          index,
          () -> Knn.search(setting.device(), Metric.L2_SQUARED, rows.all, queries.all, Rows.K),
          reply);
    }
  }

  private AcceleratedVectorIndex filled(Rows rows) {
    AcceleratedVectorIndex index = Rows.index(setting.device(), setting.dim());
    index.addAll(rows.all);
    return index;
  }

  /** One search on the index, and one {@code get} on another, each beside the bulk. */
  private void probe(AcceleratedVectorIndex index, Callable<?> bulk, Map<String, Object> reply)
      throws Exception {
    try (Rows query = new Rows(1, setting.dim(), 3);
        AcceleratedVectorIndex other = Rows.index(setting.device(), setting.dim())) {
      SearchRequest single = query.search();
      VectorHandle there = other.addAll(query.all).get(0);
      Callable<?> search = () -> index.search(single);
      Callable<?> get = () -> other.get(there).orElseThrow();
      bulk.call();
      for (int i = 0; i < WARM_PROBES; i++) {
        search.call();
        get.call();
      }
      Waits searches = new Waits("search", setting.pace());
      Waits gets = new Waits("get", setting.pace());
      Turns.rounds(
          setting,
          List.of(searches, gets),
          () -> {
            long start = System.nanoTime();
            bulk.call();
            long alone = System.nanoTime() - start;
            searches.alone(alone);
            gets.alone(alone);
            searches.beside(bulk, search);
            gets.beside(bulk, get);
            return null;
          });
      searches.reportTo(reply);
      gets.reportTo(reply);
    }
  }

  /** {@code close()} while the search runs. */
  void closing(Map<String, Object> reply) throws Exception {
    during("close", QUEUE, AcceleratedVectorIndex::close, reply);
  }

  /** {@code searchAsync} while the search runs and another one fills the queue. */
  void fullQueue(Map<String, Object> reply) throws Exception {
    try (Rows query = new Rows(1, setting.dim(), 3)) {
      SearchRequest single = query.search();
      during("async", 1, index -> index.searchAsync(single), reply);
    }
  }

  /** How long {@code asked} takes while the search runs, on a new index each time. */
  private void during(
      String line, int queue, Consumer<AcceleratedVectorIndex> asked, Map<String, Object> reply)
      throws Exception {
    try (Rows queries = new Rows(setting.queries(), setting.dim(), 2);
        Rows query = new Rows(1, setting.dim(), 3);
        Rows rows = new Rows(setting.rows(), setting.dim(), 1)) {
      SearchRequest bulk = queries.search();
      SearchRequest filler = query.search();
      Waits waits = new Waits(line, setting.pace());
      Turns.rounds(
          setting,
          List.of(waits),
          () -> {
            try (AcceleratedVectorIndex index =
                AcceleratedVectorIndex.builder(setting.dim(), Metric.L2_SQUARED)
                    .device(setting.device())
                    .mailbox(queue, MAX_WAIT)
                    .build()) {
              index.addAll(rows.all);
              FutureTask<?> search = new FutureTask<>(() -> index.search(bulk));
              Thread.ofPlatform().name("bulk").start(search);
              LockSupport.parkNanos(setting.pace()); // until it has reached the device
              if (queue == 1) {
                index.searchAsync(filler);
              }
              boolean running = !search.isDone();
              long start = System.nanoTime();
              try {
                asked.accept(index);
              } catch (IndexBusyException e) {
                // an answer, too
              }
              long nanos = System.nanoTime() - start;
              if (running) {
                waits.add(nanos);
              }
              try {
                Waits.result(search);
              } catch (IndexClosedException e) {
                // as it should where it was closed
              }
            }
            return null;
          });
      waits.reportTo(reply);
    }
  }
}
