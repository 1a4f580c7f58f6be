// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.EnumMap;
import java.util.Map;

/**
 * Native buffers of a device owner that are used again from call to call, by whoever has the turn.
 */
public final class Scratch {
  /** What an idle owner keeps of each buffer: enough for any batch of single searches. */
  private static final long KEEP_BYTES = 8L << 20;

  /** A cache line, which is also what SIMD loads like best. */
  private static final long ALIGNMENT = 64;

  public enum Use {
    VECTORS,
    ROWS,
    DISTANCES,
    COUNTS,
    CERTIFIED,
    RESCORED,
    LISTS_SCANNED,
    RECALL,
    FILTER_OF_QUERY
  }

  private record Buffer(Arena arena, MemorySegment memory) {}

  private final Map<Use, Buffer> buffers = new EnumMap<>(Use.class);

  /** At least {@code bytes}, with whatever content; valid until the next call for the same use. */
  public MemorySegment get(Use use, long bytes) {
    Buffer buffer = buffers.get(use);
    if (buffer == null || buffer.memory.byteSize() < bytes) {
      release(use);
      Arena arena = Arena.ofShared(); // closed rarely, which is what costs
      long size = Math.max(4096, Math.max(bytes, Long.highestOneBit(bytes - 1) << 1));
      buffer = new Buffer(arena, arena.allocate(size, ALIGNMENT));
      buffers.put(use, buffer);
    }
    return buffer.memory.asSlice(0, bytes);
  }

  /** Gives large buffers back. */
  void trim() {
    for (Use use : Use.values()) {
      Buffer buffer = buffers.get(use);
      if (buffer != null && buffer.memory.byteSize() > KEEP_BYTES) {
        release(use);
      }
    }
  }

  void close() {
    for (Use use : Use.values()) {
      release(use);
    }
  }

  private void release(Use use) {
    Buffer old = buffers.remove(use);
    if (old != null) {
      old.arena.close();
    }
  }
}
