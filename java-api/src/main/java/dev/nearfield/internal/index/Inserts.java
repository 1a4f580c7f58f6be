// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.internal.move.Relocation;
import dev.nearfield.internal.table.IndexState;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The large inserts under way, a step of one after a step of another: one whose caller is slow
 * keeps no other waiting. In a turn.
 */
final class Inserts {
  /**
   * Ranges of rows that one step makes the device find. An insert has one, unless other inserts put
   * their rows between its own.
   */
  private static final int RANGES = 32;

  private final Relocation relocation;
  private final ArrayDeque<InsertJob> jobs = new ArrayDeque<>();
  private @Nullable InsertJob publishing;

  Inserts(Relocation relocation) {
    this.relocation = relocation;
  }

  void add(InsertJob job) {
    jobs.add(job);
  }

  boolean isEmpty() {
    return jobs.isEmpty();
  }

  /** Whether one has rows on the device that no search finds. */
  boolean begun() {
    for (InsertJob job : jobs) {
      if (job.rowsTaken() > 0) {
        return true;
      }
    }
    return false;
  }

  /** Whether the device finds some rows of an insert and not yet all: nothing may search then. */
  boolean publishing() {
    return publishing != null;
  }

  /** A step of the next insert that has something to do; answers whether there was one. */
  boolean step(IndexState index, IndexWork worker) {
    InsertJob exclusive = publishing;
    if (exclusive != null) {
      step(exclusive, index, worker);
      jobs.removeIf(InsertJob::ended);
      return true;
    }
    boolean worked = false;
    for (int left = jobs.size(); left > 0 && !worked; left--) {
      InsertJob job = jobs.getFirst();
      worked = step(job, index, worker);
      jobs.removeFirst(); // not before: a failure of the step must find it again
      if (!job.ended()) {
        jobs.addLast(job);
      }
    }
    return worked;
  }

  private boolean step(InsertJob job, IndexState index, IndexWork worker) {
    if (job.ended()) { // and could not be told of it
      job.fail(new IllegalStateException(job.operation() + ": ended before"));
      return true;
    }
    if (job.failure() != null) {
      drop(job, index, worker);
      return true;
    }
    boolean worked = job.published || advance(job, index, worker);
    if (job.published) {
      job.succeed(job.answer()); // if there is no memory even for that, the next turn is to try it
    }
    return worked;
  }

  private boolean advance(InsertJob job, IndexState index, IndexWork worker) {
    try {
      Throwable stop = job.stopped();
      if (stop != null) {
        throw stop;
      }
      if (job.rowsTaken() == job.total) {
        publish(job, index, worker);
        return true;
      }
      MemorySegment chunk = job.chunk();
      if (chunk == null || job.waitsForRoom || index.compacting()) {
        return false;
      }
      if (job.rowsTaken() == 0 && !hasRoom(job, index, worker)) {
        return true;
      }
      job.took(index.addHidden(chunk, job.chunkSize(), job.handles, job.rowsTaken()));
      worker.publish();
    } catch (Throwable e) { // the caller's own failure may be anything
      fail(job, index, worker, worker.failed(job.operation(), e));
    }
    return true;
  }

  /** False when the insert waits for room elsewhere. */
  private boolean hasRoom(InsertJob job, IndexState index, IndexWork worker) {
    long promised = 0;
    for (InsertJob other : jobs) {
      promised += other.rowsTaken() > 0 ? other.total - other.rowsTaken() : 0;
    }
    try {
      index.checkRoom(job.operation(), job.total, promised);
      return true;
    } catch (DeviceOutOfMemoryException full) {
      job.waitsForRoom = relocation.takesInsert(worker.placement(), full);
      if (job.waitsForRoom) {
        return false;
      }
      throw full;
    }
  }

  /** After a move, or after none was possible: those that waited for room go on, or fail. */
  void resume(@Nullable Throwable refusal, IndexState index, IndexWork worker) {
    for (InsertJob job : jobs) {
      if (job.waitsForRoom) {
        job.waitsForRoom = false;
        if (refusal != null) {
          fail(job, index, worker, refusal);
        }
      }
    }
    jobs.removeIf(InsertJob::ended);
  }

  private void publish(InsertJob job, IndexState index, IndexWork worker) {
    job.answer(); // nothing may fail once it is public
    publishing = job;
    int end = Math.min(job.ranges(), job.revealed + RANGES);
    for (; job.revealed < end; job.revealed++) {
      index.reveal(job.firstRow(job.revealed), job.rowCount(job.revealed), true);
    }
    if (job.revealed == job.ranges()) {
      index.publish(job.firstRows(), job.rowCounts(), job.ranges());
      job.published = true;
      publishing = null;
      worker.publish();
    }
  }

  private void fail(InsertJob job, IndexState index, IndexWork worker, Throwable cause) {
    if (job.rowsTaken() == 0 || worker.lost() != null) {
      publishing = publishing == job ? null : publishing;
      job.fail(cause);
    } else {
      job.failWith(cause);
      drop(job, index, worker);
    }
  }

  /** Takes back a step of what a failed insert has; the failure is told when nothing is left. */
  private void drop(InsertJob job, IndexState index, IndexWork worker) {
    if (!hidden(job, index, worker)) {
      return;
    }
    publishing = publishing == job ? null : publishing;
    if (job.ranges() > 0) {
      int count = Math.min(job.leftOfRange(), index.slots().step());
      index.withdraw(job.firstDropped(), count);
      job.dropped(count);
    }
    if (job.ranges() == 0) {
      worker.publish();
      job.fail(Objects.requireNonNull(job.failure()));
    }
  }

  /** Hides some of what the device finds already; answers whether it finds nothing any more. */
  private static boolean hidden(InsertJob job, IndexState index, IndexWork worker) {
    try {
      for (int i = 0; i < RANGES && job.revealed > 0; i++) {
        int last = job.revealed - 1;
        index.reveal(job.firstRow(last), job.rowCount(last), false);
        job.revealed = last;
      }
      return job.revealed == 0;
    } catch (RuntimeException | Error e) {
      // Searches would find rows that belong to nobody: better no answers than wrong ones.
      worker.lose(job.operation(), "rows could not be hidden again", e);
      return false;
    }
  }

  void failAll(Throwable cause) {
    publishing = null;
    jobs.forEach(job -> job.fail(cause));
    jobs.clear();
  }
}
