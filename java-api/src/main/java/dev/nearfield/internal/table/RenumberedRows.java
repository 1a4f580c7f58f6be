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
  private long position;

  /** One 64-bit word per row; those below the position are kept. */
  MemorySegment room(long rows) {
    long bytes = rows * Long.BYTES;
    if (newRow.byteSize() < bytes) {
      Arena larger = Arena.ofConfined();
      MemorySegment room = larger.allocate(bytes + bytes / 8, Long.BYTES); // for rows added later
      MemorySegment.copy(newRow, 0, room, 0, position * Long.BYTES);
      arena.close();
      arena = larger;
      newRow = room;
    }
    return newRow.asSlice(0, bytes);
  }

  /** Rows whose numbers are known. */
  long position() {
    return position;
  }

  void position(long passed) {
    position = passed;
  }

  Duration elapsed() {
    return Duration.ofNanos(System.nanoTime() - start);
  }

  void close() {
    arena.close();
  }
}
