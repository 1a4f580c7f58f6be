// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/** The rows of a device and the slot that each belongs to. In a turn. */
final class RowSlots {
  static final int NO_SLOT = -1;

  private PagedInts slotOfRow = new PagedInts();
  private int rows;
  private int hidden;
  private @Nullable RenumberedRows compaction;

  /** Makes room for {@code count} more rows. */
  void reserve(int count) {
    slotOfRow.ensure((long) rows + count);
  }

  /** The device has {@code count} more rows from {@code first} on. */
  void appended(long first, int count) {
    if (first != rows) {
      throw new IllegalStateException(
          "add: the device put row [" + first + "], [" + rows + "] was expected");
    }
    rows += count;
  }

  int rows() {
    return rows;
  }

  /** Rows that no search finds yet. */
  int hidden() {
    return hidden;
  }

  /** So many more rows are hidden, or fewer. */
  void hide(int count) {
    hidden += count;
  }

  int slot(int row) {
    return slotOfRow.get(row);
  }

  void set(int row, int slot) {
    slotOfRow.set(row, slot);
  }

  /** The vector of a row was removed. */
  void clear(int row) {
    slotOfRow.set(row, NO_SLOT);
    if (compaction != null) {
      compaction.removed(row);
    }
  }

  /** Of a 32-bit number for each row, keeps those of live rows; answers how many there are. */
  int keepLive(MemorySegment numbers) {
    int kept = 0;
    for (int row = 0; row < rows; row++) {
      if (slot(row) != NO_SLOT) {
        int number = numbers.getAtIndex(ValueLayout.JAVA_INT, row);
        numbers.setAtIndex(ValueLayout.JAVA_INT, kept++, number);
      }
    }
    return kept;
  }

  boolean compacting() {
    return compaction != null;
  }

  RenumberedRows compaction() {
    RenumberedRows running = compaction;
    if (running == null) {
      throw new IllegalStateException("compact: not begun");
    }
    return running;
  }

  void begin(RenumberedRows begun) {
    compaction = begun;
  }

  /** The compaction under way has passed the rows {@code first ... end - 1}. */
  void pass(MemorySegment numbers, int first, int end) {
    compaction().pass(numbers, first, end, slotOfRow);
  }

  void end() {
    compaction = null;
  }

  /** The rows are those of the compaction, which is finished, from now on. */
  void swap() {
    RenumberedRows finished = compaction();
    slotOfRow = finished.slotOfNewRow();
    rows = finished.kept();
    compaction = null;
  }

  long bytes() {
    RenumberedRows running = compaction;
    return slotOfRow.bytes() + (running == null ? 0 : running.bytes());
  }
}
