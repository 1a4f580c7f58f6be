// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.CompactionReport;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.Request;
import dev.nearfield.internal.turn.Scratch;
import java.util.ArrayList;
import java.util.List;

/** When an index is compacted, and who hears of it. In a turn. */
public final class Compactor {
  private static final System.Logger LOG = System.getLogger(Compactor.class.getName());

  /** Fewer dead rows than this never start a compaction: scanning them costs less than one. */
  private static final int MIN_DEAD = 1024;

  private final double deadRatio;
  private final List<Jobs.Compact> asked = new ArrayList<>();
  private final List<Jobs.Compact> running = new ArrayList<>();
  private int startFrom = MIN_DEAD;

  Compactor(double deadRatio) {
    this.deadRatio = deadRatio;
  }

  void ask(Jobs.Compact job) {
    asked.add(job);
  }

  /** Whether a compaction should begin. */
  boolean wanted(IndexState index) {
    asked.removeIf(Request::ended);
    int dead = index.dead();
    return !asked.isEmpty()
        || deadRatio < 1 && dead >= startFrom && dead >= deadRatio * ((double) dead + index.live());
  }

  /** The first or the next slice; requests that come while it runs wait for the next compaction. */
  void step(IndexState index, IndexWork worker, Scratch scratch) {
    if (!index.compacting()) {
      running.addAll(asked);
      asked.clear();
    }
    Object outcome = worker.compactStep(DeviceOwner.TURN_NANOS, scratch);
    switch (outcome) {
      case null -> {
        return;
      }
      case CompactionReport report -> {
        startFrom = MIN_DEAD;
        running.forEach(job -> job.succeed(report));
      }
      default -> {
        Throwable cause = (Throwable) outcome;
        // Not to be tried again at once: not before twice as much could be gained.
        startFrom = (int) Math.min(Integer.MAX_VALUE, Math.max(MIN_DEAD, 2L * index.dead()));
        if (running.isEmpty()) {
          LOG.log(
              System.Logger.Level.WARNING,
              "automatic compaction failed, it will be tried again at {0} dead rows: {1}",
              startFrom,
              cause.getMessage());
        }
        running.forEach(job -> job.fail(cause));
      }
    }
    running.clear();
  }

  /**
   * The index has moved, without its dead rows: who waits for the compaction gets a new one there.
   */
  void moved() {
    asked.addAll(running);
    running.clear();
  }

  void failAll(Throwable cause) {
    asked.forEach(job -> job.fail(cause));
    running.forEach(job -> job.fail(cause));
    asked.clear();
    running.clear();
  }
}
