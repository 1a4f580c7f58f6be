// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.CompactionReport;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.Request;
import dev.nearfield.internal.turn.Scratch;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** When an index is compacted, and who hears of it. In a turn. */
final class Compactor {
  private static final System.Logger LOG = System.getLogger(Compactor.class.getName());

  /** Fewer dead rows than this never start a compaction: scanning them costs less than one. */
  private static final int MIN_DEAD = 1024;

  private final double deadRatio;
  private final List<Jobs.Compact> asked = new ArrayList<>();
  private final List<Jobs.Compact> running = new ArrayList<>();
  private @Nullable Object outcome; // of the compaction that has ended, until all know
  private int startFrom = MIN_DEAD;

  Compactor(double deadRatio) {
    this.deadRatio = deadRatio;
  }

  void ask(Jobs.Compact job) {
    asked.add(job);
  }

  /** Whether a compaction should begin, or those who waited for one are yet to be told. */
  boolean wanted(IndexState index) {
    if (outcome != null) {
      return true;
    }
    asked.removeIf(Request::ended);
    int dead = index.dead();
    return !asked.isEmpty()
        || deadRatio < 1 && dead >= startFrom && dead >= deadRatio * ((double) dead + index.live());
  }

  /** The first or the next slice; requests that come while it runs wait for the next compaction. */
  void step(IndexState index, IndexWork worker, Scratch scratch) {
    if (outcome == null) {
      if (!index.compacting()) {
        running.addAll(asked);
        asked.clear();
      }
      outcome = worker.compactStep(DeviceOwner.TURN_NANOS, scratch);
      if (outcome instanceof CompactionReport) {
        startFrom = MIN_DEAD;
      } else if (outcome instanceof Throwable cause) {
        failed(index, cause);
      }
    }
    if (outcome != null) {
      tell(outcome);
    }
  }

  private void failed(IndexState index, Throwable cause) {
    // Not to be tried again at once: not before twice as much could be gained.
    startFrom = (int) Math.min(Integer.MAX_VALUE, Math.max(MIN_DEAD, 2L * index.dead()));
    if (running.isEmpty()) {
      LOG.log(
          System.Logger.Level.WARNING,
          "automatic compaction failed, it will be tried again at {0} dead rows: {1}",
          startFrom,
          cause.getMessage());
    }
  }

  /** One after the other: where there is no memory to tell one, the next turn goes on with it. */
  private void tell(Object how) {
    while (!running.isEmpty()) {
      Jobs.Compact job = running.getFirst();
      if (how instanceof CompactionReport report) {
        job.succeed(report);
      } else {
        job.fail((Throwable) how);
      }
      running.removeFirst();
    }
    outcome = null;
  }

  /**
   * The index has moved, without its dead rows: who waits for the compaction gets a new one there.
   */
  void moved() {
    asked.addAll(running);
    running.clear();
    outcome = null;
  }

  void failAll(Throwable cause) {
    asked.forEach(job -> job.fail(cause));
    running.forEach(job -> job.fail(cause));
    asked.clear();
    running.clear();
    outcome = null;
  }
}
