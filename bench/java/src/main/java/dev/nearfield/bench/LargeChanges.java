// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.HandleSet;
import dev.nearfield.SearchRequest;
import dev.nearfield.VectorHandle;
import dev.nearfield.VectorHandles;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

/** Changes of a large index, and how long a {@code get} on another one waits meanwhile. */
final class LargeChanges {
  private static final int WARM_PROBES = 2_000;

  private final Turns.Setting setting;
  private final Waits add;
  private final Waits mask;
  private final Waits removeIf;
  private final Waits compact;

  LargeChanges(Turns.Setting setting) {
    this.setting = setting;
    this.add = new Waits("add", setting.pace());
    this.mask = new Waits("mask", setting.pace());
    this.removeIf = new Waits("remove", setting.pace());
    this.compact = new Waits("compact", setting.pace());
  }

  void run(Map<String, Object> reply) throws Exception {
    try (Rows rows = new Rows(setting.rows(), setting.dim(), 1);
        Rows query = new Rows(1, setting.dim(), 3);
        AcceleratedVectorIndex other = Rows.index(setting.device(), setting.dim())) {
      VectorHandle there = other.addAll(query.all).get(0);
      Callable<?> get = () -> other.get(there).orElseThrow();
      for (int i = 0; i < WARM_PROBES; i++) {
        get.call();
      }
      Turns.rounds(
          setting,
          lines(),
          () -> {
            round(rows, query, (line, bulk) -> line.alone(bulk));
            round(rows, query, (line, bulk) -> line.beside(bulk, get));
            return null;
          });
    }
    lines().forEach(line -> line.reportTo(reply));
  }

  private List<Waits> lines() {
    return List.of(add, mask, removeIf, compact);
  }

  private interface Runner {
    void run(Waits line, Callable<?> bulk) throws Exception;
  }

  private void round(Rows rows, Rows query, Runner runner) throws Exception {
    try (AcceleratedVectorIndex index = Rows.index(setting.device(), setting.dim())) {
      VectorHandles[] added = new VectorHandles[1];
      runner.run(add, () -> added[0] = index.addAll(rows.all));
      SearchRequest filtered =
          SearchRequest.builder()
              .queries(query.all)
              .topK(Rows.K)
              .filter(HandleSet.of(everyOther(added[0])))
              .build();
      runner.run(mask, () -> index.search(filtered));
      boolean[] odd = new boolean[1]; // the condition runs on one thread
      runner.run(removeIf, () -> index.removeIf(handle -> odd[0] ^= true));
      runner.run(compact, () -> index.compact().join());
    }
  }

  private static long[] everyOther(VectorHandles handles) {
    long[] half = new long[(handles.size() + 1) / 2];
    for (int i = 0; i < half.length; i++) {
      half[i] = handles.bits(2 * i);
    }
    return half;
  }
}
