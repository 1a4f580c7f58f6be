// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.event;

import dev.nearfield.FallbackReason;
import dev.nearfield.IndexStats;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.value.StatsInfo;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;

/** What {@link IndexStats} reports: written in turns, read by anyone without waiting for it. */
public final class IndexCounters {
  private record Snapshot(
      long live,
      long deleted,
      long slots,
      long deviceBytes,
      long hostBytes,
      long queries,
      long batches,
      long compactions) {}

  private volatile Snapshot snapshot = new Snapshot(0, 0, 0, 0, 0, 0, 0, 0);
  private long queries;
  private long batches;
  private long compactions;

  private final ReentrantLock lock = new ReentrantLock();
  private final Map<FallbackReason, Long> fallbacks = new EnumMap<>(FallbackReason.class);

  public void searched(int answered, int deviceBatches) {
    queries += answered;
    batches += deviceBatches;
  }

  public void compacted() {
    compactions++;
  }

  public void publish(IndexState state) {
    EngineIndex.Info info = state.rows().info();
    snapshot =
        new Snapshot(
            state.live(),
            state.dead(),
            state.slots().slots(),
            info.deviceBytes() + info.workspaceBytes(),
            state.hostBytes(),
            queries,
            batches,
            compactions);
  }

  /** Counts a fallback; any thread. */
  void fellBack(FallbackReason reason) {
    lock.lock();
    try {
      fallbacks.merge(reason, 1L, Long::sum);
    } finally {
      lock.unlock();
    }
  }

  public IndexStats stats(int queued) {
    Snapshot now = snapshot;
    Map<FallbackReason, Long> counted;
    lock.lock();
    try {
      counted = Map.copyOf(fallbacks);
    } finally {
      lock.unlock();
    }
    return new StatsInfo(
        now.live,
        now.deleted,
        now.slots,
        now.deviceBytes,
        now.hostBytes,
        now.queries,
        now.batches,
        queued,
        now.compactions,
        counted);
  }
}
