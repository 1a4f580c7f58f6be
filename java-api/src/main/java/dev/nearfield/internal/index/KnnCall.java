// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.StackRoom;
import dev.nearfield.internal.turn.SteppedCall;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * One stateless search on one device, in turn with the indexes there: a step after the other, as
 * the pieces of the dataset come. Once it has ended the device no longer touches the job's memory.
 */
final class KnnCall extends SteppedCall<KnnCall.Times> {
  /** Until the first step, and from there to the end of the last. */
  record Times(Duration queued, Duration executed) {}

  private final KnnJob job;
  private final KnnPieces pieces;
  private Engine.@Nullable Knn knn; // this and below in a turn
  private long startedNanos;

  private KnnCall(DeviceOwner owner, KnnJob job, @Nullable Duration timeout) {
    super(owner, "Knn.search", timeout);
    this.job = job;
    this.pieces = job.newPieces();
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
        ready();
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
    ready();
    try {
      await();
    } catch (RuntimeException expected) {
      cause.addSuppressed(expected);
    }
  }

  @Override
  protected void onEnd() {
    super.onEnd();
    pieces.end();
  }

  // ---- in a turn

  @Override
  protected long step(Engine engine, Engine.CallControl control, long untilNanos) {
    Engine.Knn running = knn;
    if (running == null) {
      startedNanos = System.nanoTime();
      running = job.begin(engine);
      knn = running;
    }
    MemorySegment piece = pieces.from(running.position());
    while (piece != null) {
      checkComing();
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
    checkComing();
    return DeviceOwner.IDLE; // the next piece comes with a turn of its own
  }

  private void checkComing() {
    checkWanted();
    pieces.checkComing();
  }

  @Override
  protected void close() {
    Engine.Knn open = knn;
    knn = null;
    if (open != null) {
      open.close();
    }
  }
}
