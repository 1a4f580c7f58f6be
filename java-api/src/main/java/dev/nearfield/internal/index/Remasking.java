// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.table.RowMask;
import dev.nearfield.internal.table.SlotTable;
import dev.nearfield.internal.turn.Threads;
import java.util.ArrayList;
import java.util.List;

/**
 * Searches whose mask went stale while they waited, until it has been made again, which takes its
 * time and no turn. In a turn, but for the making.
 */
final class Remasking {
  private static final class Making {
    final SearchJob job;
    final boolean queued;
    volatile boolean done;

    Making(SearchJob job, boolean queued) {
      this.job = job;
      this.queued = queued;
    }
  }

  private final Runnable wake;
  private final List<Making> makings = new ArrayList<>();

  /** {@code wake}: there is something new to do. */
  Remasking(Runnable wake) {
    this.wake = wake;
  }

  /** Whether a search can be done at once, as far as its mask goes. */
  static boolean isReady(SearchJob job, IndexState index) {
    RowMask mask = job.mask();
    return mask == null || index.slots().refresh(mask);
  }

  /**
   * Whether a search that has left the mailbox and was not started can be done now; else it goes
   * back there when it can.
   */
  boolean admits(SearchJob job, IndexState index) {
    if (isReady(job, index)) {
      return true;
    }
    make(new Making(job, true), index.slots());
    return false;
  }

  /**
   * Whether the next step of a running search can be done now; else there is a wake when it can.
   */
  boolean letsRun(SearchJob job, IndexState index) {
    if (job.ended()) {
      return true;
    }
    for (Making making : makings) {
      if (making.job == job) {
        return false;
      }
    }
    if (isReady(job, index)) {
      return true;
    }
    make(new Making(job, false), index.slots());
    return false;
  }

  private void make(Making making, SlotTable slots) {
    Threads.startVirtual(
        () -> {
          try {
            making.job.makeMask(slots);
          } catch (RuntimeException | Error e) {
            making.job.fail(e);
          } finally {
            making.done = true;
            wake.run();
          }
        });
    makings.add(making); // not before: it would stay for ever if there were no thread
  }

  /** Masks that are made: what was in the mailbox goes back to its head. Before all else. */
  void settle(Mailbox mailbox) {
    for (int i = makings.size() - 1; i >= 0; i--) { // so that they come back in order
      Making making = makings.get(i);
      if (making.done) {
        makings.remove(i);
        if (making.queued) {
          mailbox.putBack(making.job);
        }
      }
    }
  }

  boolean isEmpty() {
    return makings.isEmpty();
  }

  void failAll(Throwable cause) {
    makings.forEach(making -> making.job.fail(cause));
    makings.clear();
  }
}
