// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.VectorHandles;
import dev.nearfield.internal.turn.Change;
import dev.nearfield.internal.value.HandleColumn;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CancellationException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * A large insert: its caller copies and checks one chunk while the device takes the one before. No
 * search finds any of it until all of it is there; when it fails half-way, the rows already on the
 * device stay dead and go with the next compaction.
 */
final class InsertJob extends Change<VectorHandles> {
  /** One being copied, one being taken, and one between them when the two are not even. */
  private static final int BUFFERS = 3;

  /** A cache line, and the widest vector register. */
  private static final int ALIGNMENT = 64;

  final int total;
  final int chunkRows;
  final long[] handles;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition taken = lock.newCondition();
  private final Arena arena = Arena.ofShared();
  private final MemorySegment[] buffers;
  private int copiedChunks;
  private int takenChunks;
  private @Nullable Throwable aborted;

  // In a turn: where the rows are. Neighbouring chunks share a range.
  private final int[] firstRow;
  private final int[] rowCount;
  private int ranges;
  private int rowsTaken;
  private int droppedOfRange;
  private @Nullable Throwable failure;
  private @Nullable VectorHandles answer;

  /** It found no room, and is tried again when there may be some. */
  boolean waitsForRoom;

  /** Ranges whose rows the device finds already. */
  int revealed;

  /** All of it is there; only the caller has not been told. */
  boolean published;

  InsertJob(@Nullable Duration timeout, int total, int dim, int chunkRows) {
    super("addAll", timeout);
    this.total = total;
    this.chunkRows = chunkRows;
    this.handles = new long[total];
    int chunks = (total + chunkRows - 1) / chunkRows;
    this.firstRow = new int[chunks];
    this.rowCount = new int[chunks];
    this.buffers = new MemorySegment[Math.min(BUFFERS, chunks)];
    try {
      Arrays.setAll(buffers, i -> arena.allocate((long) chunkRows * dim * Float.BYTES, ALIGNMENT));
    } catch (RuntimeException | Error e) { // no memory for all of them
      arena.close();
      throw e;
    }
  }

  // ---- caller's side

  /**
   * A buffer for the next chunk, once there is one; null when the job has ended or is to be
   * stopped, as it is when its time is over.
   */
  @Nullable MemorySegment buffer() {
    lock.lock();
    try {
      expireIfDue();
      while (copiedChunks - takenChunks == buffers.length && !ended() && !cancelRequested()) {
        taken.awaitNanos(remainingNanos());
        expireIfDue();
      }
      return ended() || cancelRequested() ? null : buffers[copiedChunks % buffers.length];
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // await() sees it and cancels
      return null;
    } finally {
      lock.unlock();
    }
  }

  /** Hands the buffer over. */
  void copied() {
    lock.lock();
    try {
      copiedChunks++;
    } finally {
      lock.unlock();
    }
    wake();
  }

  /** The caller cannot go on: the job ends at once, or when its rows have been taken back. */
  void abort(Throwable cause) {
    if (endIfQueued(cause)) {
      return;
    }
    lock.lock();
    try {
      aborted = cause;
    } finally {
      lock.unlock();
    }
    wake();
  }

  /** Frees the buffers of a job that has ended. */
  void free() {
    arena.close();
  }

  // ---- owner's side

  /** Why the job must stop, if it must. */
  @Nullable Throwable stopped() {
    lock.lock();
    try {
      return aborted == null && cancelRequested()
          ? new CancellationException(operation() + ": cancelled by the caller")
          : aborted;
    } finally {
      lock.unlock();
    }
  }

  /** The next chunk, or null while it is being copied. */
  @Nullable MemorySegment chunk() {
    lock.lock();
    try {
      return copiedChunks > takenChunks ? buffers[takenChunks % buffers.length] : null;
    } finally {
      lock.unlock();
    }
  }

  int chunkSize() {
    return Math.min(chunkRows, total - rowsTaken);
  }

  /** The chunk is on the device from row {@code first} on; its buffer is free. */
  void took(int first) {
    int count = chunkSize();
    if (ranges > 0 && firstRow[ranges - 1] + rowCount[ranges - 1] == first) {
      rowCount[ranges - 1] += count;
    } else {
      firstRow[ranges] = first;
      rowCount[ranges++] = count;
    }
    rowsTaken += count;
    lock.lock();
    try {
      takenChunks++;
      taken.signal();
    } finally {
      lock.unlock();
    }
  }

  int rowsTaken() {
    return rowsTaken;
  }

  int ranges() {
    return ranges;
  }

  int firstRow(int range) {
    return firstRow[range];
  }

  int rowCount(int range) {
    return rowCount[range];
  }

  /** Of all {@link #ranges}; more may follow. */
  int[] firstRows() {
    return firstRow;
  }

  int[] rowCounts() {
    return rowCount;
  }

  /** The same object every time. */
  VectorHandles answer() {
    VectorHandles made = answer;
    return made == null ? answer = new HandleColumn(handles) : made;
  }

  /** It is to fail as soon as its rows are taken back. */
  void failWith(Throwable cause) {
    failure = cause;
  }

  @Nullable Throwable failure() {
    return failure;
  }

  /** Where to go on taking back rows: the last range first. */
  int firstDropped() {
    return firstRow[ranges - 1] + droppedOfRange;
  }

  int leftOfRange() {
    return rowCount[ranges - 1] - droppedOfRange;
  }

  /** So many more are taken back. */
  void dropped(int count) {
    droppedOfRange += count;
    if (droppedOfRange == rowCount[ranges - 1]) {
      droppedOfRange = 0;
      ranges--;
    }
  }

  @Override
  protected void onEnd() {
    super.onEnd();
    lock.lock(); // the caller may be waiting for a buffer
    try {
      taken.signal();
    } finally {
      lock.unlock();
    }
  }
}
