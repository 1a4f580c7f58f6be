// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.internal.engine.Engine;

/**
 * Whether an index may grow on its device. In a turn.
 *
 * @param budget bytes on the device, 0 for what the device has
 */
record RoomCheck(Engine engine, Engine.IndexOptions options, long budget) {
  /** Refuses an index whose expected vectors cannot fit. */
  void build() {
    long needed = options.capacity() > 0 ? engine.estimate(options).peakBytes() : 0;
    if (budget > 0 && needed > budget) {
      throw outOfMemory("build", options.capacity(), needed, budget, budget, "the budget");
    }
  }

  /** Refuses {@code count} vectors that would bring the rows to {@code after}. */
  void grow(String operation, long count, long after, long heldBytes) {
    if (after > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "%s: [%d] vectors to add to %d rows, an index holds at most %d"
              .formatted(operation, count, after - count, Integer.MAX_VALUE));
    }
    Engine.Estimate estimate = engine.estimate(options.withCapacity(after));
    if (budget > 0 && estimate.peakBytes() > budget) {
      long free = Math.max(0, budget - heldBytes);
      throw outOfMemory(operation, count, estimate.peakBytes(), free, budget, "the budget");
    }
    long more = estimate.peakBytes() - heldBytes;
    long free = more > 0 ? engine.freeBytes() : -1; // a driver call, so only when the index grows
    if (free >= 0 && more > free) {
      long total = engine.device().totalMemoryBytes();
      throw outOfMemory(operation, count, more, free, total, engine.device().toString());
    }
  }

  private static DeviceOutOfMemoryException outOfMemory(
      String operation, long count, long requested, long free, long total, String of) {
    return new DeviceOutOfMemoryException(
        "%s: [%d] vectors bring the index to [%d] bytes, %d of %d are free on %s"
            .formatted(operation, count, requested, free, total, of),
        requested,
        free,
        total);
  }
}
