// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import com.sun.management.OperatingSystemMXBean;
import com.sun.management.ThreadMXBean;
import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.Knn;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.FutureTask;

/** What calls cost that have little to do. */
final class SmallCalls {
  private static final int CLIENTS = 8;
  private static final Duration TIMEOUT = Duration.ofSeconds(10); // never reached

  private final Turns.Setting setting;

  SmallCalls(Turns.Setting setting) {
    this.setting = setting;
  }

  /** Indexes with the default policy, one after the other, with none open beside them. */
  void build(Map<String, Object> reply) throws Exception {
    Callable<Long> one =
        () -> {
          long start = System.nanoTime();
          AcceleratedVectorIndex index =
              AcceleratedVectorIndex.builder(setting.dim(), Metric.L2_SQUARED).build();
          long nanos = System.nanoTime() - start;
          index.close();
          return nanos;
        };
    measured(setting.probes(), one).reportTo(reply, "build");
  }

  /** Searches without an index, with none open and with one that keeps the device open. */
  void knn(Map<String, Object> reply) throws Exception {
    try (Rows rows = new Rows(setting.rows(), setting.dim(), 1);
        Rows queries = new Rows(setting.queries(), setting.dim(), 2)) {
      Callable<Long> one =
          timed(
              () -> Knn.search(setting.device(), Metric.L2_SQUARED, rows.all, queries.all, Rows.K));
      measured(setting.probes(), one).reportTo(reply, "none-open");
      try (AcceleratedVectorIndex open = Rows.index(setting.device(), setting.dim())) {
        open.addAll(queries.all);
        measured(setting.probes(), one).reportTo(reply, "one-open");
      }
    }
  }

  /**
   * Single searches, waited for and asynchronous, without and with a time-out, in turns, and what
   * each leaves to the collector.
   */
  void single(Map<String, Object> reply) throws Exception {
    try (Rows rows = new Rows(setting.rows(), setting.dim(), 1);
        Rows query = new Rows(1, setting.dim(), 3);
        AcceleratedVectorIndex index = Rows.index(setting.device(), setting.dim())) {
      index.addAll(rows.all);
      SearchRequest plain = query.search();
      SearchRequest timed =
          SearchRequest.builder().queries(query.all).topK(Rows.K).timeout(TIMEOUT).build();
      Map<String, Callable<?>> calls = new LinkedHashMap<>();
      calls.put("plain", () -> index.search(plain));
      calls.put("timed", () -> index.search(timed));
      calls.put("async", () -> index.searchAsync(plain).join());
      calls.put("async-timed", () -> index.searchAsync(timed).join());
      Map<String, Waits> lines = new LinkedHashMap<>();
      for (int round = 0; round <= setting.rounds(); round++) {
        if (round == 1) { // the first was for the compiler
          lines.clear();
        }
        for (var call : calls.entrySet()) {
          String name = call.getKey();
          Waits line = lines.computeIfAbsent(name, each -> new Waits(each, 0));
          reply.put(name + ".bytes", repeated(call.getValue(), line));
        }
      }
      lines.values().forEach(line -> line.reportTo(reply));
    }
  }

  /** Bytes of the heap that one call takes, on whichever threads. */
  private double repeated(Callable<?> call, Waits line) throws Exception {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long[] nanos = new long[setting.probes()];
    long before = threads.getTotalThreadAllocatedBytes();
    for (int i = 0; i < nanos.length; i++) {
      long start = System.nanoTime();
      call.call();
      nanos[i] = System.nanoTime() - start;
    }
    long bytes = threads.getTotalThreadAllocatedBytes() - before;
    for (long each : nanos) {
      line.add(each);
    }
    return (double) bytes / nanos.length;
  }

  /** Cheap searches of several clients, with the default linger and without any, in turns. */
  void clients(Map<String, Object> reply) throws Exception {
    try (Rows rows = new Rows(setting.rows(), setting.dim(), 1);
        Rows query = new Rows(1, setting.dim(), 3);
        AcceleratedVectorIndex lingering = Rows.index(setting.device(), setting.dim());
        AcceleratedVectorIndex prompt =
            AcceleratedVectorIndex.builder(setting.dim(), Metric.L2_SQUARED)
                .device(setting.device())
                .batching(1024, Duration.ZERO)
                .build()) {
      lingering.addAll(rows.all);
      prompt.addAll(rows.all);
      SearchRequest request = query.search();
      Load with = new Load();
      Load without = new Load();
      for (int round = 0; round <= setting.rounds(); round++) {
        if (round == 1) { // the first was for the compiler
          with = new Load();
          without = new Load();
        }
        with.run(() -> lingering.search(request));
        without.run(() -> prompt.search(request));
      }
      with.reportTo(reply, "linger");
      without.reportTo(reply, "no-linger");
    }
  }

  /** What {@link #CLIENTS} clients get done, and what it costs. */
  private final class Load {
    private long searches;
    private long nanos;
    private long cpu;

    void run(Callable<?> search) throws Exception {
      OperatingSystemMXBean system =
          (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
      List<FutureTask<Void>> clients = new ArrayList<>();
      for (int c = 0; c < CLIENTS; c++) {
        clients.add(
            new FutureTask<>(
                () -> {
                  for (int i = 0; i < setting.probes(); i++) {
                    search.call();
                  }
                  return null;
                }));
      }
      long start = System.nanoTime();
      long used = system.getProcessCpuTime();
      clients.forEach(client -> Thread.ofPlatform().name("client").start(client));
      for (FutureTask<Void> client : clients) {
        Waits.result(client);
      }
      nanos += System.nanoTime() - start;
      cpu += system.getProcessCpuTime() - used;
      searches += (long) CLIENTS * setting.probes();
    }

    void reportTo(Map<String, Object> reply, String line) {
      reply.put(line + ".cpu", (double) cpu / nanos);
      reply.put(line + ".qps", searches / (nanos / 1e9));
      reply.put(line + ".cpu_s_each", cpu / 1e9 / searches);
    }
  }

  private static Callable<Long> timed(Callable<?> call) {
    return () -> {
      long start = System.nanoTime();
      call.call();
      return System.nanoTime() - start;
    };
  }

  /** After a tenth as many for the compiler. */
  private static Timings measured(int count, Callable<Long> one) throws Exception {
    long[] nanos = new long[count];
    for (int i = 0; i <= count / 10; i++) {
      one.call();
    }
    for (int i = 0; i < count; i++) {
      nanos[i] = one.call();
    }
    return new Timings(nanos);
  }
}
