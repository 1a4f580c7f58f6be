// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.VectorBatch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.concurrent.CancellationException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * A dataset on its way to one device: its caller copies one piece while the device takes the one
 * before, so the device never sees memory that the caller can free or change.
 */
final class KnnPieces {
  /**
   * Of one piece: long against the cost of a step, and two of them are little on any machine that
   * has a dataset larger than this.
   */
  static final long MAX_BYTES = 32L << 20;

  /** One being copied and one being taken. */
  private static final int BUFFERS = 2;

  /** A cache line, and the widest vector register. */
  static final int ALIGNMENT = 64;

  private final VectorBatch dataset;
  private final long rowBytes;
  private final int pieceRows;
  private final MemorySegment[] buffers;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private int copied; // pieces; this and below guarded by `lock`
  private int taken;
  private boolean ended;
  private boolean failed;

  KnnPieces(VectorBatch dataset, MemorySegment[] buffers) {
    this.dataset = dataset;
    this.rowBytes = rowBytes(dataset);
    this.pieceRows = (int) (buffers[0].byteSize() / rowBytes);
    this.buffers = buffers;
  }

  /** For one call after the other, with pieces of that many bytes at most. */
  static MemorySegment[] buffers(Arena arena, VectorBatch dataset, long maxBytes) {
    long rows = Math.min(dataset.size(), Math.max(1, maxBytes / rowBytes(dataset)));
    MemorySegment[] buffers = new MemorySegment[rows == dataset.size() ? 1 : BUFFERS];
    Arrays.setAll(buffers, i -> arena.allocate(rows * rowBytes(dataset), ALIGNMENT));
    return buffers;
  }

  private static long rowBytes(VectorBatch dataset) {
    return (long) dataset.dimension() * Float.BYTES;
  }

  private int pieces() {
    return Math.ceilDiv(dataset.size(), pieceRows);
  }

  private int firstRow(int piece) {
    return piece * pieceRows;
  }

  private int rowsOf(int piece) {
    return Math.min(pieceRows, dataset.size() - firstRow(piece));
  }

  // ---- caller's side

  /**
   * Copies the next piece, once there is room; false after the last, when nobody wants it any more,
   * and after an interrupt, which stays set, or that time.
   */
  boolean copyNext(long waitNanos) {
    int piece = copied; // only this thread changes it
    if (piece == pieces() || !awaitRoom(waitNanos)) {
      return false;
    }
    MemorySegment buffer = buffers[piece % buffers.length];
    dataset.copyTo(firstRow(piece), rowsOf(piece), buffer);
    lock.lock();
    try {
      copied++;
    } finally {
      lock.unlock();
    }
    return true;
  }

  private boolean awaitRoom(long waitNanos) {
    lock.lock();
    try {
      long left = waitNanos;
      while (copied - taken == buffers.length && !ended && left > 0) {
        left = changed.awaitNanos(left);
      }
      return !ended && left > 0 && !Thread.currentThread().isInterrupted();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    } finally {
      lock.unlock();
    }
  }

  /** The caller cannot go on. */
  void fail() {
    lock.lock();
    try {
      failed = true;
    } finally {
      lock.unlock();
    }
  }

  // ---- in a turn

  /** Throws when the caller cannot go on. */
  void checkComing() {
    lock.lock();
    try {
      if (failed) {
        throw new CancellationException("Knn.search: the dataset could not be copied to its end");
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * The rows from {@code position} on that are at hand, empty after the last; null while they are
   * being copied. Those before may be overwritten.
   */
  @Nullable MemorySegment from(long position) {
    if (position == dataset.size()) {
      return MemorySegment.NULL;
    }
    int piece = (int) (position / pieceRows);
    lock.lock();
    try {
      if (taken != piece) {
        taken = piece;
        changed.signal();
      }
      if (copied == piece) {
        return null;
      }
    } finally {
      lock.unlock();
    }
    long offset = (position - firstRow(piece)) * rowBytes;
    return buffers[piece % buffers.length].asSlice(offset, rowsOf(piece) * rowBytes - offset);
  }

  /** Nobody wants them any more. Any thread. */
  void end() {
    lock.lock();
    try {
      ended = true;
      changed.signal();
    } finally {
      lock.unlock();
    }
  }
}
