// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;

/**
 * A compaction under way: its start, and the room for the new number of every row. Owner thread.
 */
public final class RenumberedRows {
  private final long start = System.nanoTime();
  private Arena arena = Arena.ofConfined();
  private MemorySegment newRow = MemorySegment.NULL;

  /** One 64-bit word per row, with whatever content. */
  MemorySegment room(long rows) {
    long bytes = rows * Long.BYTES;
    if (newRow.byteSize() < bytes) {
      arena.close();
      arena = Arena.ofConfined();
      newRow = arena.allocate(bytes + bytes / 8, Long.BYTES); // an eighth for rows added meanwhile
    }
    return newRow.asSlice(0, bytes);
  }

  Duration elapsed() {
    return Duration.ofNanos(System.nanoTime() - start);
  }

  void close() {
    arena.close();
  }
}
