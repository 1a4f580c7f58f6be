// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.CompactionReport;
import dev.nearfield.Device;
import dev.nearfield.DeviceLostException;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.IndexClosedException;
import dev.nearfield.NativeCallException;
import dev.nearfield.Placement;
import dev.nearfield.VectorHandle;
import dev.nearfield.VectorHandles;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.engine.FitSample;
import dev.nearfield.internal.event.IndexCounters;
import dev.nearfield.internal.move.Relocation;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.turn.CancelWord;
import dev.nearfield.internal.turn.Change;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.Request;
import dev.nearfield.internal.turn.Scratch;
import dev.nearfield.internal.value.HandleColumn;
import dev.nearfield.internal.value.StoredVectorInfo;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import org.jspecify.annotations.Nullable;

/**
 * Does the jobs of one index against its state and ends them, whatever happens. Counters are
 * published before a job ends, so that its caller sees itself counted. In a turn ({@link
 * DeviceOwner}).
 */
final class IndexWork {
  private static final System.Logger LOG = System.getLogger(IndexWork.class.getName());

  private final IndexState state;
  private final IndexCounters counters;
  private final CancelWord cancel;
  private final Placement placement;
  private final Device device;
  private final Relocation relocation;
  private @Nullable DeviceLostException lost;

  IndexWork(
      IndexState state,
      IndexCounters counters,
      CancelWord cancel,
      Placement placement,
      Relocation relocation) {
    this.state = state;
    this.counters = counters;
    this.cancel = cancel;
    this.placement = placement;
    this.device = placement.device();
    this.relocation = relocation;
    publish();
  }

  /** Set once the device is gone; nothing works any more then. */
  @Nullable DeviceLostException lost() {
    return lost;
  }

  /** Counts what was done; never fails, because what was done stays done. */
  void publish() {
    try {
      counters.publish(state);
    } catch (RuntimeException | Error e) {
      LOG.log(System.Logger.Level.WARNING, "counting what an index did failed", failed("stats", e));
    }
  }

  Engine.CallControl control(long timeoutNanos) {
    return Engine.CallControl.within(timeoutNanos, cancel.segment());
  }

  Placement placement() {
    return placement;
  }

  /** The rows on the device are not those of the index any more: it is treated as lost. */
  void lose(String operation, String why, Throwable cause) {
    DeviceLostException unusable = new DeviceLostException(why + ": " + cause.getMessage());
    unusable.addSuppressed(cause);
    failed(operation, unusable);
  }

  /** Keeps what a failure means for the index; answers what to tell the caller. */
  Throwable failed(String operation, Throwable cause) {
    if (cause instanceof DeviceLostException) {
      if (lost == null) {
        lost =
            new DeviceLostException(
                "%s: %s was lost, and with it the vectors of this index; build it again (%s)"
                    .formatted(operation, device, cause.getMessage()));
      }
      return lost;
    }
    if (cause instanceof CancellationException && cancel.isRaised()) {
      return closed(operation); // nobody else asked for it
    }
    return cause;
  }

  static IndexClosedException closed(String operation) {
    return new IndexClosedException(
        operation + ": the index was closed before this request was done");
  }

  // ---- changes

  /**
   * One device call for several inserts. When it fails they are tried one by one, so that each gets
   * its own verdict.
   */
  void add(List<Jobs.Add> waiting, Scratch scratch) {
    try {
      CancelWord.Batch batch = cancel.arm();
      List<Jobs.Add> jobs = new ArrayList<>(waiting);
      jobs.removeIf(job -> !job.start(batch));
      batch.gathered();
      addAll(jobs, scratch);
    } catch (RuntimeException | Error e) {
      waiting.forEach(job -> job.fail(e));
    } finally {
      cancel.disarm();
    }
  }

  private void addAll(List<Jobs.Add> jobs, Scratch scratch) {
    try {
      addTogether(jobs, scratch);
    } catch (RuntimeException | Error e) {
      Throwable told = failed("add", e);
      if (lost != null) {
        jobs.forEach(job -> job.fail(told));
      } else if (jobs.size() == 1) {
        addFailed(jobs.getFirst(), told);
      } else {
        for (Jobs.Add job : jobs) {
          if (job.ended()) {
            job.fail(told); // it was done before the failure, but maybe not told
          } else {
            addAlone(job, scratch);
          }
        }
      }
    }
  }

  private void addAlone(Jobs.Add job, Scratch scratch) {
    try {
      CancelWord.Batch batch = cancel.arm();
      job.join(batch);
      batch.gathered();
      addTogether(List.of(job), scratch);
    } catch (RuntimeException | Error e) {
      addFailed(job, failed("add", e));
    }
  }

  /** Tries an insert again that waited for room. */
  void retry(Change<?> parked, Scratch scratch) {
    try {
      addAlone((Jobs.Add) parked, scratch); // nothing else is ever parked
    } finally {
      cancel.disarm();
    }
  }

  private void addFailed(Jobs.Add job, Throwable cause) {
    if (!(cause instanceof DeviceOutOfMemoryException full
        && relocation.takes(job, placement, full))) {
      job.fail(cause);
    }
  }

  private void addTogether(List<Jobs.Add> jobs, Scratch scratch) {
    int dim = state.dim();
    int total = jobs.stream().mapToInt(job -> job.count).sum();
    if (total == 0) {
      return;
    }
    state.checkRoom(jobs.getFirst().operation(), total);
    MemorySegment vectors = scratch.get(Scratch.Use.VECTORS, (long) total * dim * Float.BYTES);
    long at = 0;
    for (Jobs.Add job : jobs) {
      MemorySegment.copy(
          job.vectors, 0, vectors, ValueLayout.JAVA_FLOAT, at * Float.BYTES, job.count * dim);
      at += (long) job.count * dim;
    }
    // Everything is allocated before the device changes: what failed later would be done again.
    long[] handles = new long[total];
    long[][] own = new long[jobs.size()][];
    VectorHandles[] answers = new VectorHandles[jobs.size()];
    for (int i = 0; i < own.length; i++) {
      own[i] = new long[jobs.get(i).count];
      answers[i] = new HandleColumn(own[i]);
    }
    state.add(vectors, total, handles, control(Long.MAX_VALUE));
    int from = 0;
    for (long[] part : own) {
      System.arraycopy(handles, from, part, 0, part.length);
      from += part.length;
    }
    publish();
    succeed(jobs, answers);
  }

  /** All of them, whatever becomes of one: what the device has done must not be done again. */
  private static void succeed(List<Jobs.Add> jobs, VectorHandles[] answers) {
    OutOfMemoryError untold = null;
    for (int i = 0; i < answers.length; i++) {
      try {
        jobs.get(i).succeed(answers[i]);
      } catch (OutOfMemoryError e) {
        untold = e;
      }
    }
    if (untold != null) {
      throw untold;
    }
  }

  /** Does one job that shares its device call with no other. */
  void single(Request<?> job, Scratch scratch) {
    try {
      CancelWord.Batch batch = cancel.arm();
      if (!job.start(batch)) {
        return;
      }
      batch.gathered();
      Engine.CallControl control = control(Long.MAX_VALUE);
      switch (job) {
        case Jobs.Remove remove -> {
          int count = remove.handles.length;
          int removed = state.remove(job.operation(), remove.handles, 0, count, scratch, control);
          publish();
          remove.succeed(removed);
        }
        case Jobs.Replace replace -> {
          long[] handle =
              state.replace(job.operation(), replace.handle, replace.vector, scratch, control);
          publish();
          replace.succeed(Optional.ofNullable(handle).map(h -> new VectorHandle(h[0])));
        }
        case Jobs.Get get -> {
          float[] vector = state.get(job.operation(), get.handle, scratch, control);
          get.succeed(
              Optional.ofNullable(vector)
                  .map(v -> new StoredVectorInfo(new VectorHandle(get.handle), v)));
        }
        default -> throw new IllegalStateException("no work known for " + job.operation());
      }
    } catch (RuntimeException | Error e) {
      job.fail(failed(job.operation(), e));
    } finally {
      cancel.disarm();
    }
  }

  // ---- compaction

  /**
   * One step of compaction. Answers null while there is more to do, else how it ended: a report or
   * a throwable.
   */
  @Nullable Object compactStep(long budgetNanos, Scratch scratch) {
    try {
      if (!state.compacting()) {
        state.beginCompaction();
      }
      CompactionReport report = state.compactStep(budgetNanos, scratch, Engine.CallControl.NONE);
      if (report != null) {
        counters.compacted();
        publish();
      }
      return report;
    } catch (RuntimeException | Error e) {
      state.endCompaction();
      return failed("compact", e);
    }
  }

  // ---- training

  /**
   * One step of fitting the codes, which closing the index stops. Answers where it ended, or a
   * throwable.
   */
  Object trainStep(long position, long budgetNanos) {
    try {
      EngineIndex.TrainStep step =
          state.rows().trainStep((FitSample) null, position, budgetNanos, control(Long.MAX_VALUE));
      if (step.done()) {
        counters.trained();
      }
      publish();
      return step;
    } catch (RuntimeException | Error e) {
      return failed("train", e);
    }
  }

  /**
   * One step of what is done to lists, which its caller may stop, too; without lists there is
   * nothing to do but to refuse what would be refused with them.
   *
   * @param position negative before the first step
   */
  Object listStep(ListJob<?> job, long position, long budgetNanos) {
    try {
      CancelWord.Batch batch = cancel.arm();
      job.join(batch); // of one that is to be stopped, the word is set when the device looks
      batch.gathered();
      if (position < 0) {
        job.check(state.live());
      }
      EngineIndex.TrainStep step =
          state.options().listed()
              ? job.step(state.rows(), Math.max(0, position), budgetNanos, control(Long.MAX_VALUE))
              : new EngineIndex.TrainStep(0, true);
      if (step.done() && state.options().listed() && job instanceof TrainJob) {
        counters.trained();
      }
      publish();
      return step;
    } catch (NativeCallException e) {
      return failed(job.operation(), reason(job, e));
    } catch (RuntimeException | Error e) {
      return failed(job.operation(), e);
    } finally {
      cancel.disarm();
    }
  }

  /** Rows are chosen in a later step than the first: vectors removed until then may be missed. */
  private RuntimeException reason(ListJob<?> job, NativeCallException failure) {
    try {
      job.check(state.live());
      return failure;
    } catch (IllegalArgumentException tooFew) {
      tooFew.addSuppressed(failure);
      return tooFew;
    }
  }
}
