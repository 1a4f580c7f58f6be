// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.turn.Scratch;
import java.util.ArrayDeque;
import java.util.concurrent.CancellationException;

/** The large removals under way, in the order they came, a step at a time. In a turn. */
final class Removals {
  private final ArrayDeque<Jobs.Remove> jobs = new ArrayDeque<>();

  void add(Jobs.Remove job) {
    jobs.add(job);
  }

  boolean isEmpty() {
    return jobs.isEmpty();
  }

  /**
   * A step of the first removal; answers whether there is one. Once begun it goes on to its end.
   */
  boolean step(IndexState index, IndexWork worker, Scratch scratch) {
    failStopped();
    Jobs.Remove job = jobs.peek();
    if (job == null) {
      return false;
    }
    try {
      int to = (int) Math.min(job.handles.length, (long) job.next + index.slots().step());
      job.removed +=
          index.remove(
              job.operation(), job.handles, job.next, to, scratch, Engine.CallControl.NONE);
      job.next = to;
      worker.publish();
      if (to == job.handles.length) {
        job.succeed(job.removed);
      }
    } catch (RuntimeException | Error e) {
      job.fail(worker.failed(job.operation(), e));
    }
    jobs.removeIf(Jobs.Remove::ended);
    return true;
  }

  private void failStopped() {
    for (Jobs.Remove job : jobs) {
      if (job.next == 0 && job.cancelRequested()) {
        job.fail(new CancellationException(job.operation() + ": cancelled by the caller"));
      }
    }
    jobs.removeIf(Jobs.Remove::ended);
  }

  void failAll(Throwable cause) {
    jobs.forEach(job -> job.fail(cause));
    jobs.clear();
  }
}
