// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.event;

import dev.nearfield.Encoding;
import dev.nearfield.FallbackReason;
import dev.nearfield.IndexStats;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.engine.EngineIndex.Codes;
import dev.nearfield.internal.engine.EngineIndex.ListSizes;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.value.StatsInfo;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;

/** What {@link IndexStats} reports: written in turns, read by anyone without waiting for it. */
public final class IndexCounters {
  /** What the device said, and the tables, at one moment. */
  private record Gauges(
      long live,
      long deleted,
      long slots,
      long deviceBytes,
      long hostBytes,
      Encoding encoding,
      Codes codes,
      ListSizes lists) {}

  private record Counts(
      long queries, long certified, long batches, long compactions, long trainings) {}

  private record Snapshot(Gauges gauges, Counts counts) {}

  private volatile Snapshot snapshot =
      new Snapshot(
          new Gauges(0, 0, 0, 0, 0, Encoding.F32, Codes.NONE, ListSizes.NONE),
          new Counts(0, 0, 0, 0, 0));
  private long scannedBefore; // by searches on devices that the index has left
  private long wholeBefore;
  private long largestCall;

  private final ReentrantLock lock = new ReentrantLock();
  private final Map<FallbackReason, Long> fallbacks = new EnumMap<>(FallbackReason.class);

  /**
   * Counts answers of a device call with room for that many hits. Answers whether the workspace may
   * have grown, so that {@link #publish} should look: it grows with the largest call only.
   */
  public boolean searched(int answered, int certified, int deviceBatches, long hits) {
    Counts was = snapshot.counts;
    count(
        new Counts(
            was.queries + answered,
            was.certified + certified,
            was.batches + deviceBatches,
            was.compactions,
            was.trainings));
    boolean larger = hits > largestCall;
    largestCall = Math.max(largestCall, hits);
    return larger;
  }

  public void compacted() {
    Counts was = snapshot.counts;
    count(new Counts(was.queries, was.certified, was.batches, was.compactions + 1, was.trainings));
  }

  public void trained() {
    Counts was = snapshot.counts;
    count(new Counts(was.queries, was.certified, was.batches, was.compactions, was.trainings + 1));
  }

  private void count(Counts now) {
    snapshot = new Snapshot(snapshot.gauges, now);
  }

  /** The index goes on elsewhere, where the bytes that searches read are counted from 0 again. */
  public void moved() {
    Codes left = snapshot.gauges.codes;
    scannedBefore = left.scannedBytes();
    wholeBefore = left.wholeBytes();
  }

  public void publish(IndexState state) {
    EngineIndex.Info info = state.info();
    Codes codes = info.codes();
    snapshot =
        new Snapshot(
            new Gauges(
                state.live(),
                state.dead(),
                state.slots().slots(),
                info.deviceBytes() + info.workspaceBytes(),
                state.hostBytes(),
                state.encoding(),
                new Codes(
                    codes.bytes(),
                    scannedBefore + codes.scannedBytes(),
                    wholeBefore + codes.wholeBytes(),
                    codes.loosening()),
                info.lists()),
            snapshot.counts);
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
    Gauges gauges = now.gauges;
    Codes codes = gauges.codes;
    Counts counts = now.counts;
    return new StatsInfo(
        gauges.live,
        gauges.deleted,
        gauges.slots,
        gauges.deviceBytes,
        gauges.encoding,
        codes.bytes(),
        gauges.lists.count(),
        gauges.lists.smallest(),
        gauges.lists.largest(),
        gauges.lists.drift(),
        gauges.hostBytes,
        counts.queries,
        counts.certified,
        (double) codes.scannedBytes() / codes.wholeBytes(), // 0 / 0: NaN
        counts.batches,
        queued,
        counts.compactions,
        counts.trainings,
        counted);
  }
}
