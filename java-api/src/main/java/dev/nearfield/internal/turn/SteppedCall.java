// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import dev.nearfield.internal.engine.Engine;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import org.jspecify.annotations.Nullable;

/**
 * Work for an engine that takes several turns, with the indexes of its device between them; its
 * caller waits. Once it has ended, in whatever way, nothing of it is left on the device.
 */
public abstract class SteppedCall<T> extends Request<T> implements DeviceOwner.Turn {
  private final DeviceOwner owner;
  private final DeviceOwner.Seat seat;
  private boolean started; // in a turn

  protected SteppedCall(DeviceOwner owner, String operation, @Nullable Duration timeout) {
    super(operation, timeout);
    this.owner = owner;
    this.seat = owner.seat(this);
  }

  /** There is something to do in a turn. Any thread. */
  protected final void ready() {
    seat.ready();
  }

  /**
   * A part of the work. It succeeds with the last one, where nothing is left to {@link #close}.
   *
   * @return as {@link DeviceOwner.Turn#run}
   */
  protected abstract long step(Engine engine, Engine.CallControl control, long untilNanos);

  /** Gives back what the steps so far hold. In a turn, after one that failed. */
  protected abstract void close();

  /**
   * For a step, wherever it may end. A time-out needs no word to the device: the caller, who waits,
   * asks it to stop.
   */
  protected final void checkWanted() {
    if (cancelRequested()) {
      throw new CancellationException(operation() + ": cancelled by the caller");
    }
  }

  @Override
  protected final boolean abandonable() {
    return false;
  }

  @Override
  protected final void onCancelRequested() {
    ready();
  }

  @Override
  public final long run(Engine engine, Scratch scratch, long untilNanos) {
    if (ended()) {
      return DeviceOwner.IDLE;
    }
    CancelWord cancel = owner.cancelWord();
    try {
      return begin(cancel.arm())
          ? step(engine, new Engine.CallControl(0, cancel.segment()), untilNanos)
          : DeviceOwner.IDLE;
    } catch (RuntimeException | Error e) {
      try {
        close();
      } catch (RuntimeException | Error untidy) {
        if (untidy != e) {
          e.addSuppressed(untidy);
        }
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
    }
    batch.gathered();
    return started;
  }
}
