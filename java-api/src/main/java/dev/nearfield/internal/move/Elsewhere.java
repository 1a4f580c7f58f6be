// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.move;

import dev.nearfield.Placement;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.Threads;
import org.jspecify.annotations.Nullable;

/**
 * Where an index may go from where it is. Its methods may open a device and wait for it, so they
 * are not for an owner thread.
 */
public interface Elsewhere {
  /** An index that stays where it is. */
  Elsewhere NOWHERE =
      new Elsewhere() {
        @Override
        public @Nullable Destination better(Placement now) {
          return null;
        }

        @Override
        public boolean hasRoomier(Placement now) {
          return false;
        }

        @Override
        public @Nullable Destination roomier(Placement now) {
          return null;
        }
      };

  /** What the policy prefers to the present device; null when there is nothing. */
  @Nullable Destination better(Placement now);

  /**
   * Whether the policy allows another device for what the present one has no room for. Any thread,
   * at once.
   */
  boolean hasRoomier(Placement now);

  /** That device; null when there is none after all. */
  @Nullable Destination roomier(Placement now);

  /**
   * A device to go to. Whoever takes it over releases the owner.
   *
   * @param config as before, but for the memory budget
   */
  record Destination(DeviceOwner owner, Placement placement, IndexConfig config) {
    /** Releases the owner where waiting is allowed. */
    void giveUp() {
      Threads.startVirtual(owner::release);
    }
  }
}
