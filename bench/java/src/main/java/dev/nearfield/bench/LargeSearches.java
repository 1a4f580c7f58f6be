// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.IndexClosedException;
import dev.nearfield.Knn;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.VectorHandle;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;

/** A search of thousands of queries, and who waits meanwhile. */
final class LargeSearches {
  private static final int WARM_PROBES = 200;

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
    try (Rows queries = new Rows(setting.queries(), setting.dim(), 2);
        Rows rows = new Rows(setting.rows(), setting.dim(), 1)) {
      SearchRequest bulk = queries.search();
      Waits closing = new Waits("close", setting.pace());
      Turns.rounds(
          setting,
          List.of(closing),
          () -> {
            AcceleratedVectorIndex index = filled(rows);
            CountDownLatch running = new CountDownLatch(1);
            FutureTask<Boolean> search =
                new FutureTask<>(
                    () -> {
                      running.countDown();
                      try {
                        index.search(bulk);
                        return false;
                      } catch (IndexClosedException e) {
                        return true;
                      }
                    });
            Thread.ofPlatform().name("bulk").start(search);
            running.await();
            Thread.sleep(setting.pace() / 1_000_000); // until it has reached the device
            boolean early = search.isDone();
            long start = System.nanoTime();
            index.close();
            long nanos = System.nanoTime() - start;
            Waits.result(search);
            if (!early) {
              closing.add(nanos);
            }
            return null;
          });
      closing.reportTo(reply);
    }
  }
}
