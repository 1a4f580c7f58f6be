// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.turn.DeviceOwner;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.concurrent.CancellationException;
import org.jspecify.annotations.Nullable;

/**
 * Trainings and maintenances of the lists of an index, one after the other, each a step at a time.
 * In a turn.
 */
final class ListTrainer {
  private final ArrayDeque<ListJob<?>> asked = new ArrayDeque<>();
  private @Nullable ListJob<?> running;
  private @Nullable Object outcome; // of the one that has ended, until its caller knows
  private long position;
  private long startedNanos;

  /** How one that has succeeded has ended. */
  private record Done(int lists, Duration took) {}

  void ask(ListJob<?> job) {
    asked.add(job);
  }

  /** Whether one is under way: no compaction may begin. */
  boolean running() {
    return running != null;
  }

  /** Whether there is a step to do, or somebody to be told. */
  boolean wanted() {
    return running != null || !asked.isEmpty();
  }

  /** Fails those whose callers do not wait any more, and that have not begun. */
  void endStopped() {
    for (int i = asked.size(); i > 0; i--) {
      ListJob<?> job = asked.remove();
      if (job.cancelRequested()) {
        job.fail(new CancellationException(job.operation() + ": cancelled by the caller"));
      } else {
        asked.add(job);
      }
    }
  }

  void step(IndexState index, IndexWork worker) {
    ListJob<?> job = running;
    if (job == null) {
      job = asked.remove();
      running = job;
      position = -1;
      startedNanos = System.nanoTime();
    }
    if (outcome == null) {
      outcome = next(job, index, worker);
    }
    if (outcome != null) {
      tell(job, outcome);
    }
  }

  /** Null while there is more to do, else how it ended: done, or a throwable. */
  private @Nullable Object next(ListJob<?> job, IndexState index, IndexWork worker) {
    Object step = worker.listStep(job, position, DeviceOwner.TURN_NANOS);
    if (step instanceof EngineIndex.TrainStep(long passed, boolean done)) {
      position = passed;
      job.progress(done ? index.rowCount() : passed, index.rowCount());
      return done
          ? new Done(index.lists().count(), Duration.ofNanos(System.nanoTime() - startedNanos))
          : null;
    }
    return step;
  }

  /** Where there is no memory to tell it, the next turn goes on with it. */
  private void tell(ListJob<?> job, Object how) {
    if (how instanceof Done(int lists, Duration took)) {
      job.succeed(lists, took);
    } else {
      job.fail((Throwable) how);
    }
    running = null;
    outcome = null;
  }

  /** The index has moved: what was under way begins anew there. */
  void moved() {
    if (running != null) {
      asked.addFirst(running);
    }
    running = null;
    outcome = null;
  }

  void failAll(Throwable cause) {
    ListJob<?> job = running;
    if (job != null) {
      job.fail(cause);
    }
    asked.forEach(waiting -> waiting.fail(cause));
    running = null;
    outcome = null;
    asked.clear();
  }
}
