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

  /** Overwrites {@code count} rows (64-bit numbers, unique) in place. */
  void replace(MemorySegment rows, long count, MemorySegment vectors, Engine.CallControl control);

  /** Copies {@code count} rows to {@code out} as dim f32 each, bit for bit as added. */
  void read(MemorySegment rows, long count, MemorySegment out, Engine.CallControl control);

  void setLive(MemorySegment rows, long count, boolean live, Engine.CallControl control);

  void search(Engine.SearchCall search, Engine.CallControl control);

  /**
   * One slice of dropping the dead rows, about {@code budgetNanos} long (0: all of it). On the last
   * slice, which answers true, {@code newRow} (one 64-bit word per old row; {@code newRowCount}
   * must be the row count) receives each row's new number or -1.
   */
  boolean compactStep(
      MemorySegment newRow, long newRowCount, long budgetNanos, Engine.CallControl control);

  @Override
  void close();

  record Info(long rows, long liveRows, long deviceBytes, long workspaceBytes) {}
}
