// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.table.SlotTable;
import dev.nearfield.internal.turn.CancelWord;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.Request;
import dev.nearfield.internal.turn.Scratch;
import dev.nearfield.internal.turn.StackRoom;
import java.util.concurrent.CancellationException;
import org.jspecify.annotations.Nullable;

/**
 * The making of an index in turn with those of its device: its codes are fitted to a sample, where
 * there is one, a step a turn. Of an index that fails or that its caller gives up nothing is left.
 */
final class Building extends Request<Boolean> implements DeviceOwner.Turn {
  /** Takes the index over. In the last turn. */
  interface Taker {
    void take(Engine engine, IndexState made);
  }

  private final DeviceOwner owner;
  private final IndexConfig config;
  private final SlotTable slots;
  private final Taker taker;
  private final DeviceOwner.Seat seat;
  private boolean started; // this and below in a turn
  private @Nullable IndexState made;

  private Building(DeviceOwner owner, IndexConfig config, SlotTable slots, Taker taker) {
    super("build", null);
    this.owner = owner;
    this.config = config;
    this.slots = slots;
    this.taker = taker;
    this.seat = owner.seat(this);
  }

  /** Waits until the index is taken over. An interrupt cancels. */
  static void run(DeviceOwner owner, IndexConfig config, SlotTable slots, Taker taker) {
    Building building = new Building(owner, config, slots, taker);
    StackRoom.require();
    building.seat.ready();
    building.await();
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
  public long run(Engine engine, Scratch scratch, long untilNanos) {
    if (ended()) {
      return DeviceOwner.IDLE;
    }
    CancelWord cancel = owner.cancelWord();
    try {
      if (!begin(cancel.arm())) {
        return DeviceOwner.IDLE;
      }
      Engine.CallControl control = new Engine.CallControl(0, cancel.segment());
      return step(engine, control, untilNanos) ? DeviceOwner.IDLE : DeviceOwner.AGAIN;
    } catch (RuntimeException | Error e) {
      try {
        close();
      } catch (RuntimeException | Error untidy) {
        e.addSuppressed(untidy);
      }
      fail(e);
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

  /** Answers whether the index is made. */
  private boolean step(Engine engine, Engine.CallControl control, long untilNanos) {
    if (cancelRequested()) {
      throw new CancellationException(operation() + ": cancelled by the caller");
    }
    IndexState index = made;
    if (index == null) {
      index = IndexState.of(engine, config, slots);
      made = index;
    }
    if (!index.fitStep(Math.max(1, untilNanos - System.nanoTime()), control)) {
      return false;
    }
    taker.take(engine, index);
    made = null;
    succeed(true);
    return true;
  }

  private void close() {
    IndexState half = made;
    made = null;
    if (half != null) {
      half.close();
    }
  }
}
