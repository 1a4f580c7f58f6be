// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.engine;

import java.lang.foreign.MemorySegment;

/**
 * Rows on one device: the mutable index of the ABI. Threading, ownership and failures as in {@link
 * Engine}.
 */
public interface EngineIndex extends AutoCloseable {
  Info info();

  /** Appends {@code count} x dim f32, all or nothing; answers the number of the first new row. */
  long add(MemorySegment vectors, long count, Engine.CallControl control);

  /** The same, dead from the start: no search finds the rows before {@link #setLive}. */
  long addHidden(MemorySegment vectors, long count, Engine.CallControl control);

  /** Overwrites {@code count} rows (64-bit numbers, unique) in place. */
  void replace(MemorySegment rows, long count, MemorySegment vectors, Engine.CallControl control);

  /** Copies {@code count} rows to {@code out} as dim f32 each, bit for bit as added. */
  void read(MemorySegment rows, long count, MemorySegment out, Engine.CallControl control);

  void setLive(MemorySegment rows, long count, boolean live, Engine.CallControl control);

  /** Of the rows from {@code first} on. */
  void setLive(long first, long count, boolean live, Engine.CallControl control);

  void search(Engine.SearchCall search, Engine.CallControl control);

  /**
   * One slice of dropping the dead rows, about {@code budgetNanos} long (0: no limit) and over at
   * most {@code window} rows, of which there is at least one while the index has rows. {@code
   * newRow} (64-bit words) receives the new number, or -1, of each row that the slice passed.
   * {@code position}: what the slice before answered, 0 at first.
   */
  Compacted compactStep(
      MemorySegment newRow,
      long window,
      long position,
      long budgetNanos,
      Engine.CallControl control);

  @Override
  void close();

  /**
   * The rows from {@code firstRow} up to {@code position} have been passed. {@code firstRow} is the
   * position before the slice, or 0 when the compaction began anew: numbers given out before are
   * void then. {@code done}: all rows have their new numbers from now on.
   */
  record Compacted(long firstRow, long position, boolean done) {}

  record Info(long rows, long liveRows, long deviceBytes, long workspaceBytes) {}
}
