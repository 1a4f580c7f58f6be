// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.table.SlotTable;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.StackRoom;
import dev.nearfield.internal.turn.SteppedCall;
import org.jspecify.annotations.Nullable;

/**
 * The making of an index in turn with those of its device: its codes are fitted to a sample, where
 * there is one, a step a turn. Of an index that fails or that its caller gives up nothing is left.
 */
final class Building extends SteppedCall<Boolean> {
  /** Takes the index over. In the last turn. */
  interface Taker {
    void take(Engine engine, IndexState made);
  }

  private final IndexConfig config;
  private final SlotTable slots;
  private final Taker taker;
  private @Nullable IndexState made; // in a turn

  private Building(DeviceOwner owner, IndexConfig config, SlotTable slots, Taker taker) {
    super(owner, "build", null);
    this.config = config;
    this.slots = slots;
    this.taker = taker;
  }

  /** Waits until the index is taken over. An interrupt cancels. */
  static void run(DeviceOwner owner, IndexConfig config, SlotTable slots, Taker taker) {
    Building building = new Building(owner, config, slots, taker);
    StackRoom.require();
    building.ready();
    building.await();
  }

  @Override
  protected long step(Engine engine, Engine.CallControl control, long untilNanos) {
    checkWanted();
    IndexState index = made;
    if (index == null) {
      index = IndexState.of(engine, config, slots);
      made = index;
    }
    if (!index.fitStep(Math.max(1, untilNanos - System.nanoTime()), control)) {
      return DeviceOwner.AGAIN;
    }
    taker.take(engine, index);
    made = null;
    succeed(true);
    return DeviceOwner.IDLE;
  }

  @Override
  protected void close() {
    IndexState half = made;
    made = null;
    if (half != null) {
      half.close();
    }
  }
}
