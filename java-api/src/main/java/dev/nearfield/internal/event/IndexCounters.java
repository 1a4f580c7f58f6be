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
      long compactions) {
    Snapshot after(long queries, long batches) {
      return new Snapshot(
          live, deleted, slots, deviceBytes, hostBytes, queries, batches, compactions);
    }
  }

  private volatile Snapshot snapshot = new Snapshot(0, 0, 0, 0, 0, 0, 0, 0);
  private long queries;
  private long batches;
  private long compactions;
  private long largestCall;

  private final ReentrantLock lock = new ReentrantLock();
  private final Map<FallbackReason, Long> fallbacks = new EnumMap<>(FallbackReason.class);

  /**
   * Counts answers of a device call with room for that many hits. Answers whether the workspace may
   * have grown, so that {@link #publish} should look: it grows with the largest call only.
   */
  public boolean searched(int answered, int deviceBatches, long hits) {
    queries += answered;
    batches += deviceBatches;
    snapshot = snapshot.after(queries, batches);
    boolean larger = hits > largestCall;
    largestCall = Math.max(largestCall, hits);
    return larger;
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
