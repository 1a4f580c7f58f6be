// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import dev.nearfield.internal.engine.Engine;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Row filters of the handle sets met last. A mask stays right until rows are renumbered or a row
 * gets another handle: removed rows are excluded by their live bit, and rows added later hold
 * handles that no earlier set can contain. In a turn.
 */
public final class MaskCache {
  /** Sets remembered: a handful of tenants or categories; each costs a bit per row. */
  private static final int SIZE = 16;

  private final Map<SortedHandles, Engine.RowFilter>
      byset = // SortedHandles has the equality of Object: identity
      new LinkedHashMap<>(SIZE * 2, 0.75f, true) {
            private static final long serialVersionUID = 1;

            @Override
            protected boolean removeEldestEntry(Map.Entry<SortedHandles, Engine.RowFilter> eldest) {
              return size() > SIZE;
            }
          };

  void clear() {
    byset.clear();
  }

  /** {@code keep}: whether the set may come again; else it would push out those that do. */
  Engine.RowFilter get(SortedHandles handles, SlotTable slots, int rowCount, boolean keep) {
    Engine.RowFilter known = byset.get(handles);
    if (known == null) {
      known = make(handles.sortedBits(), slots, rowCount);
      if (keep) {
        byset.put(handles, known);
      }
    }
    return known;
  }

  private static Engine.RowFilter make(long[] handles, SlotTable slots, int rowCount) {
    // A row number takes 64 bits, a mask one bit per row: take the smaller.
    return (long) handles.length * Long.SIZE < rowCount
        ? list(handles, slots)
        : bits(handles, slots, rowCount);
  }

  private static Engine.RowFilter list(long[] handles, SlotTable slots) {
    long[] rows = new long[handles.length];
    int count = 0;
    for (long handle : handles) {
      int row = slots.row("search", handle);
      if (row != SlotTable.NO_ROW) {
        rows[count++] = row;
      }
    }
    Arrays.sort(rows, 0, count);
    return new Engine.RowFilter.Rows(MemorySegment.ofArray(rows), count);
  }

  private static Engine.RowFilter bits(long[] handles, SlotTable slots, int rowCount) {
    int[] words = new int[(rowCount + 31) >>> 5];
    for (long handle : handles) {
      int row = slots.row("search", handle);
      if (row != SlotTable.NO_ROW) {
        words[row >>> 5] |= 1 << (row & 31);
      }
    }
    return new Engine.RowFilter.Bits(MemorySegment.ofArray(words), words.length);
  }
}
