// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.plain;

import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.Metric;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.engine.VectorCheck;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The flat index of the plain-Java backend. */
final class JavaIndex implements EngineIndex {
  /**
   * Rows copied between two looks at the clock while compacting: below a millisecond at any
   * dimension in use.
   */
  private static final int COMPACT_ROWS = 256;

  private final Metric metric;
  private final int dim;
  private final long memoryLimit;
  private final VectorCheck check;
  private JavaRows rows;
  private @Nullable Shadow shadow;

  JavaIndex(Engine.IndexOptions options) {
    this.metric = options.metric();
    this.dim = options.dim();
    this.memoryLimit = options.memoryLimitBytes();
    this.check = new VectorCheck(metric, dim, options.poincareMaxNorm());
    this.rows = new JavaRows(dim);
  }

  JavaRows rows() {
    return rows;
  }

  @Override
  public Info info() {
    return new Info(rows.rows(), rows.liveRows(), rows.bytes(), 0);
  }

  @Override
  public long add(MemorySegment vectors, long count, boolean hidden, Engine.CallControl control) {
    JavaEngine.CallClock clock = new JavaEngine.CallClock("add", control);
    return append("add", "vector", vectors, count, !hidden, clock);
  }

  long append(
      String operation,
      String what,
      MemorySegment vectors,
      long count,
      boolean live,
      JavaEngine.CallClock clock) {
    long first = rows.rows();
    float[] vector = new float[dim];
    for (long i = 0; i < count; i++) { // all are checked before the first is stored
      load(vectors, i, vector);
      check.check(operation, what, i, vector, 0);
      if (i % 4096 == 0) {
        clock.poll();
      }
    }
    long bytes = JavaRows.bytes(dim, first + count);
    if (memoryLimit != 0 && bytes > memoryLimit) {
      throw new DeviceOutOfMemoryException(
          "%s: [%d] rows of %d floats need [%d] bytes, the limit is %d"
              .formatted(operation, first + count, dim, bytes, memoryLimit),
          bytes,
          memoryLimit - Math.min(memoryLimit, rows.bytes()),
          memoryLimit);
    }
    try {
      rows.ensure(first + count);
    } catch (OutOfMemoryError e) {
      throw new DeviceOutOfMemoryException(
          "%s: [%d] bytes for %d rows of %d floats, the Java heap is exhausted"
              .formatted(operation, bytes, first + count, dim),
          bytes,
          -1,
          Runtime.getRuntime().maxMemory());
    }
    for (long i = 0; i < count; i++) {
      load(vectors, i, vector);
      rows.append(vector, 0, side(vector), live);
    }
    return first;
  }

  @Override
  public void replace(
      MemorySegment rowNumbers, long count, MemorySegment vectors, Engine.CallControl control) {
    float[] vector = new float[dim];
    for (long i = 0; i < count; i++) {
      row("replace", rowNumbers, i);
      load(vectors, i, vector);
      check.check("replace", "vector", i, vector, 0);
    }
    for (long i = 0; i < count; i++) {
      long row = row("replace", rowNumbers, i);
      load(vectors, i, vector);
      rows.write(row, vector, 0, side(vector));
      if (shadow != null && row < shadow.copied && shadow.newRow(row) >= 0) {
        shadow.rows.write(shadow.newRow(row), vector, 0, side(vector));
      }
    }
  }

  @Override
  public void read(
      MemorySegment rowNumbers, long count, MemorySegment out, Engine.CallControl control) {
    for (long i = 0; i < count; i++) {
      rows.read(row("read", rowNumbers, i), out, i);
    }
  }

  @Override
  public void setLive(
      MemorySegment rowNumbers, long count, boolean live, Engine.CallControl control) {
    for (long i = 0; i < count; i++) {
      row("setLive", rowNumbers, i);
    }
    for (long i = 0; i < count; i++) {
      long row = row("setLive", rowNumbers, i);
      rows.setLive(row, live);
      setLiveInShadow(row, live);
    }
  }

  @Override
  public void setLive(long first, long count, boolean live, Engine.CallControl control) {
    if (count <= 0) {
      return;
    }
    checkRow("setLive", first, rows.rows());
    checkRow("setLive", first + count - 1, rows.rows());
    rows.setLive(first, count, live);
    for (long row = first; shadow != null && row < Math.min(first + count, shadow.copied); row++) {
      setLiveInShadow(row, live);
    }
  }

  private void setLiveInShadow(long row, boolean live) {
    if (shadow != null && row < shadow.copied) {
      long moved = shadow.newRow(row);
      if (moved >= 0) {
        shadow.rows.setLive(moved, live);
      } else if (live) {
        shadow = null; // a row already dropped is wanted again: start over
      }
    }
  }

  @Override
  public void search(Engine.SearchCall search, Engine.CallControl control) {
    JavaScan.search(
        "search", rows, metric, check, search, new JavaEngine.CallClock("search", control));
  }

  @Override
  public CompactStep compactStep(
      MemorySegment newRow,
      long window,
      long position,
      long budgetNanos,
      Engine.CallControl control) {
    if (window < 1 && rows.rows() > 0) {
      throw new IllegalArgumentException(
          "compact: room for [%d] row numbers, a step needs at least 1".formatted(window));
    }
    JavaEngine.CallClock clock = new JavaEngine.CallClock("compact", control);
    long start = System.nanoTime();
    Shadow work = shadow;
    if (work == null || work.copied != position) {
      work = new Shadow(dim);
    }
    shadow = null; // a step that fails makes the next one begin anew
    long first = work.copied;
    long last = Math.min(rows.rows(), first + window);
    while (work.copied < last) {
      work.copy(rows, Math.min(last, work.copied + COMPACT_ROWS));
      clock.poll();
      if (budgetNanos != 0 && System.nanoTime() - start >= budgetNanos) {
        break;
      }
    }
    for (long row = first; row < work.copied; row++) {
      newRow.setAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, row - first, work.newRow(row));
    }
    boolean done = work.copied == rows.rows();
    if (done) {
      rows = work.rows;
    } else {
      shadow = work;
    }
    return new CompactStep(first, work.copied, done);
  }

  @Override
  public TrainStep trainStep(
      Training how, long position, long budgetNanos, Engine.CallControl control) {
    throw new IllegalStateException("train: this index has no codes and no lists");
  }

  @Override
  public MaintainStep maintainStep(long position, long budgetNanos, Engine.CallControl control) {
    throw new IllegalStateException("maintain: this index has no lists");
  }

  @Override
  public @Nullable Lists readLists(Engine.CallControl control) {
    return null;
  }

  @Override
  public void writeLists(Lists lists, Engine.CallControl control) {
    throw new IllegalStateException("writeLists: this index has no lists");
  }

  @Override
  public void close() {
    rows = new JavaRows(dim);
    shadow = null;
  }

  private float side(float[] vector) {
    return JavaKernels.side(metric, VectorCheck.squaredNorm(vector, 0, dim));
  }

  private void load(MemorySegment vectors, long i, float[] to) {
    MemorySegment.copy(
        vectors, ValueLayout.JAVA_FLOAT_UNALIGNED, i * dim * Float.BYTES, to, 0, dim);
  }

  private long row(String operation, MemorySegment rowNumbers, long i) {
    long row = rowNumbers.getAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, i);
    checkRow(operation, row, rows.rows());
    return row;
  }

  static void checkRow(String operation, long row, long rows) {
    if (row < 0 || row >= rows) {
      throw new IllegalArgumentException(
          "%s: row [%d], the index has %d rows".formatted(operation, row, rows));
    }
  }

  /**
   * The compacted copy that replaces the rows at the last step; changes of rows already copied are
   * made in both.
   */
  private static final class Shadow {
    private static final int PAGE_SHIFT = 14;
    private static final int PAGE_MASK = (1 << PAGE_SHIFT) - 1;

    final JavaRows rows;
    final List<int[]> newRow = new ArrayList<>(); // in pages: growth copies nothing
    long copied;

    Shadow(int dim) {
      rows = new JavaRows(dim);
    }

    int newRow(long row) {
      return newRow.get((int) (row >>> PAGE_SHIFT))[(int) row & PAGE_MASK];
    }

    void copy(JavaRows from, long end) {
      for (; copied < end; copied++) {
        int row = (int) copied;
        if (row >>> PAGE_SHIFT == newRow.size()) {
          newRow.add(new int[PAGE_MASK + 1]);
        }
        int to = -1;
        if (from.isLive(row)) {
          to = Math.toIntExact(rows.rows());
          rows.ensure(to + 1L);
          rows.append(from.slabOf(row), from.offsetOf(row), from.sideOf(row), true);
        }
        newRow.get(row >>> PAGE_SHIFT)[row & PAGE_MASK] = to;
      }
    }
  }
}
