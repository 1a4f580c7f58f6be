// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.TrainingReport;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.turn.DeviceOwner;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.concurrent.CancellationException;
import org.jspecify.annotations.Nullable;

/** Trainings of the lists of an index, one after the other, each a step at a time. In a turn. */
final class ListTrainer {
  private final ArrayDeque<TrainJob> asked = new ArrayDeque<>();
  private @Nullable TrainJob running;
  private @Nullable Object outcome; // of the one that has ended, until its caller knows
  private long position;
  private long startedNanos;

  void ask(TrainJob job) {
    asked.add(job);
  }

  /** Whether a training is under way: no compaction may begin. */
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
      TrainJob job = asked.remove();
      if (job.cancelRequested()) {
        job.fail(new CancellationException("train: cancelled by the caller"));
      } else {
        asked.add(job);
      }
    }
  }

  void step(IndexState index, IndexWork worker) {
    TrainJob job = running;
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

  /** Null while there is more to do, else a report or a throwable. */
  private @Nullable Object next(TrainJob job, IndexState index, IndexWork worker) {
    Object step = worker.trainListsStep(job, position, DeviceOwner.TURN_NANOS);
    if (step instanceof EngineIndex.TrainStep(long passed, boolean done)) {
      position = passed;
      job.progress(done ? index.rowCount() : passed, index.rowCount());
      return done
          ? new TrainingReport(
              index.lists().count(), Duration.ofNanos(System.nanoTime() - startedNanos))
          : null;
    }
    return step;
  }

  /** Where there is no memory to tell it, the next turn goes on with it. */
  private void tell(TrainJob job, Object how) {
    if (how instanceof TrainingReport report) {
      job.succeed(report);
    } else {
      job.fail((Throwable) how);
    }
    running = null;
    outcome = null;
  }

  /** The index has moved: the training that was under way begins anew there. */
  void moved() {
    if (running != null) {
      asked.addFirst(running);
    }
    running = null;
    outcome = null;
  }

  void failAll(Throwable cause) {
    TrainJob job = running;
    if (job != null) {
      job.fail(cause);
    }
    asked.forEach(waiting -> waiting.fail(cause));
    running = null;
    outcome = null;
    asked.clear();
  }
}
