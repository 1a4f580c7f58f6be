// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.turn.CancelWord;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.Request;
import dev.nearfield.internal.turn.Scratch;
import dev.nearfield.internal.turn.StackRoom;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import org.jspecify.annotations.Nullable;

/**
 * One stateless search on one device, in turn with the indexes there: a step after the other, as
 * the pieces of the dataset come. Once it has ended the device no longer touches the job's memory.
 */
final class KnnCall extends Request<KnnCall.Times> implements DeviceOwner.Turn {
  /** Until the first step, and from there to the end of the last. */
  record Times(Duration queued, Duration executed) {}

  private final DeviceOwner owner;
  private final KnnJob job;
  private final KnnPieces pieces;
  private final DeviceOwner.Seat seat;
  private Engine.@Nullable Knn knn; // this and below in a turn
  private boolean started;
  private long startedNanos;

  private KnnCall(DeviceOwner owner, KnnJob job, @Nullable Duration timeout) {
    super("Knn.search", timeout);
    this.owner = owner;
    this.job = job;
    this.pieces = job.newPieces();
    this.seat = owner.seat(this);
  }

  /** Waits until the answers are written, and copies the dataset meanwhile. */
  static Times run(DeviceOwner owner, KnnJob job, @Nullable Duration timeout) {
    StackRoom.require();
    KnnCall call = new KnnCall(owner, job, timeout);
    call.feed();
    return call.await();
  }

  // ---- caller's side

  private void feed() {
    try {
      while (pieces.copyNext(remainingNanos())) {
        seat.ready();
      }
    } catch (RuntimeException | Error e) { // a segment closed meanwhile
      if (!endIfQueued(e)) {
        stop(e);
      }
      throw e;
    }
  }

  private void stop(Throwable cause) {
    pieces.fail();
    seat.ready();
    try {
      await();
    } catch (RuntimeException expected) {
      cause.addSuppressed(expected);
    }
  }

  @Override
  protected boolean abandonable() {
    return false;
  }

  @Override
  protected void onCancelRequested() {
    seat.ready();
  }

  @Override
  protected void onEnd() {
    super.onEnd();
    pieces.end();
  }

  // ---- in a turn

  @Override
  public long run(Engine engine, Scratch scratch, long untilNanos) {
    if (ended()) {
      return DeviceOwner.IDLE;
    }
    CancelWord cancel = owner.cancelWord();
    try {
      return begin(cancel.arm())
          ? work(engine, new Engine.CallControl(0, cancel.segment()), untilNanos)
          : DeviceOwner.IDLE;
    } catch (RuntimeException | Error e) {
      try {
        close();
      } finally {
        fail(e); // whatever became of that: no other turn may go on with it
      }
      return DeviceOwner.IDLE;
    } finally {
      cancel.disarm();
    }
  }

  /** False when it has ended before its first turn. */
  private boolean begin(CancelWord.Batch batch) {
    if (started) {
      join(batch);
    } else {
      started = start(batch);
      startedNanos = System.nanoTime();
    }
    batch.gathered();
    return started;
  }

  /** A time-out needs no word to the device: the caller, who waits, asks it to stop. */
  private long work(Engine engine, Engine.CallControl control, long untilNanos) {
    Engine.Knn running = knn;
    if (running == null) {
      running = job.begin(engine);
      knn = running;
    }
    MemorySegment piece = pieces.from(running.position());
    while (piece != null) {
      checkWanted();
      long budget = Math.max(1, untilNanos - System.nanoTime());
      if (running.step(piece, job.rowsIn(piece), budget, control)) {
        close();
        succeed(
            new Times(
                Duration.ofNanos(startedNanos - submittedNanos()),
                Duration.ofNanos(System.nanoTime() - startedNanos)));
        return DeviceOwner.IDLE;
      }
      piece = pieces.from(running.position()); // gives the rows before back, also between turns
      if (System.nanoTime() - untilNanos >= 0) {
        return DeviceOwner.AGAIN;
      }
    }
    checkWanted();
    return DeviceOwner.IDLE; // the next piece comes with a turn of its own
  }

  private void checkWanted() {
    if (cancelRequested()) {
      throw new CancellationException(operation() + ": cancelled by the caller");
    }
    pieces.checkComing();
  }

  private void close() {
    Engine.Knn open = knn;
    knn = null;
    if (open != null) {
      open.close();
    }
  }
}
