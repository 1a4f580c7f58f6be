// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.plain;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Rows in slabs on the Java heap, with the side value and the live bit of each. Not thread-safe.
 */
public final class JavaRows {
  /**
   * Floats of one slab: 4 MiB, large enough to scan at memory speed, small enough that growth never
   * copies much.
   */
  private static final int SLAB_FLOATS = 1 << 20;

  private final int dim;
  private final int slabRows;
  private final List<float[]> slabs = new ArrayList<>();
  private final List<float[]> sides = new ArrayList<>();
  private int[] live = {};
  private long rows;
  private long liveRows;

  JavaRows(int dim) {
    this.dim = dim;
    this.slabRows = slabRows(dim);
  }

  public static int slabRows(int dim) {
    return Math.max(32, SLAB_FLOATS / dim / 32 * 32);
  }

  /** Bytes of {@code rows} rows: what {@link #bytes()} answers then. */
  public static long bytes(int dim, long rows) {
    int slabRows = slabRows(dim);
    long slabs = (rows + slabRows - 1) / slabRows;
    return slabs * slabRows * (dim + 1L) * Float.BYTES + words(slabs * slabRows) * Integer.BYTES;
  }

  static long words(long rows) {
    return (rows + 31) / 32;
  }

  public long bytes() {
    return bytes(dim, rows);
  }

  int dim() {
    return dim;
  }

  public int slabRows() {
    return slabRows;
  }

  int slabCount() {
    return slabs.size();
  }

  float[] slab(int i) {
    return slabs.get(i);
  }

  float[] side(int i) {
    return sides.get(i);
  }

  long rows() {
    return rows;
  }

  long liveRows() {
    return liveRows;
  }

  float[] slabOf(long row) {
    return slabs.get((int) (row / slabRows));
  }

  int offsetOf(long row) {
    return (int) (row % slabRows) * dim;
  }

  float sideOf(long row) {
    return sides.get((int) (row / slabRows))[(int) (row % slabRows)];
  }

  int liveWord(long word) {
    return live[(int) word];
  }

  boolean isLive(long row) {
    return (live[(int) (row >>> 5)] & 1 << (row & 31)) != 0;
  }

  void setLive(long row, boolean on) {
    if (isLive(row) != on) {
      live[(int) (row >>> 5)] ^= 1 << (row & 31);
      liveRows += on ? 1 : -1;
    }
  }

  void setLive(long first, long count, boolean on) {
    for (long row = first, end = first + count; row < end; ) {
      int word = (int) (row >>> 5);
      int bits = (int) Math.min(32 - (row & 31), end - row);
      int mask = (bits == 32 ? -1 : (1 << bits) - 1) << (row & 31);
      int now = on ? live[word] | mask : live[word] & ~mask;
      liveRows += Integer.bitCount(now) - Integer.bitCount(live[word]);
      live[word] = now;
      row += bits;
    }
  }

  /** Allocates room for {@code count} rows in all. On failure nothing observable has changed. */
  void ensure(long count) {
    int needed = Math.toIntExact((count + slabRows - 1) / slabRows);
    if (words((long) needed * slabRows) > live.length) {
      live = Arrays.copyOf(live, Math.toIntExact(words((long) needed * slabRows)));
    }
    while (slabs.size() < needed) {
      float[] side = new float[slabRows];
      slabs.add(new float[Math.multiplyExact(slabRows, dim)]);
      sides.add(side);
    }
  }

  /** Appends one row; there must be room. */
  void append(float[] vector, int from, float side, boolean on) {
    System.arraycopy(vector, from, slabOf(rows), offsetOf(rows), dim);
    sides.get((int) (rows / slabRows))[(int) (rows % slabRows)] = side;
    rows++;
    setLive(rows - 1, on);
  }

  void write(long row, float[] vector, int from, float side) {
    System.arraycopy(vector, from, slabOf(row), offsetOf(row), dim);
    sides.get((int) (row / slabRows))[(int) (row % slabRows)] = side;
  }

  void read(long row, MemorySegment out, long index) {
    MemorySegment.copy(
        slabOf(row),
        offsetOf(row),
        out,
        ValueLayout.JAVA_FLOAT_UNALIGNED,
        index * dim * Float.BYTES,
        dim);
  }
}
