// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.plain;

import dev.nearfield.Metric;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.VectorCheck;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/** The search of the plain-Java backend: one pass over the rows for all queries of a batch. */
final class JavaScan {
  /** Multiply-adds between two looks at the clock: about a millisecond. */
  private static final long POLL_EVERY = 1 << 20;

  private final JavaRows rows;
  private final Metric metric;
  private final float[] queries;
  private final TopK[] best;
  private final int @Nullable [] @Nullable [] masks;
  private final JavaEngine.CallClock clock;
  private long work;

  private JavaScan(
      JavaRows rows,
      Metric metric,
      float[] queries,
      TopK[] best,
      int @Nullable [] @Nullable [] masks,
      JavaEngine.CallClock clock) {
    this.rows = rows;
    this.metric = metric;
    this.queries = queries;
    this.best = best;
    this.masks = masks;
    this.clock = clock;
  }

  static void search(
      String operation,
      JavaRows rows,
      Metric metric,
      VectorCheck check,
      Engine.SearchCall call,
      JavaEngine.CallClock clock) {
    int dim = rows.dim();
    int batch = call.batch();
    if (call.k() < 1) {
      throw new IllegalArgumentException(
          "%s: k [%d], at least 1 is needed".formatted(operation, call.k()));
    }
    float[] queries = new float[Math.multiplyExact(batch, dim)];
    MemorySegment.copy(
        call.queries(), ValueLayout.JAVA_FLOAT_UNALIGNED, 0, queries, 0, queries.length);
    double[] squared = new double[batch];
    TopK[] best = new TopK[batch];
    int k = (int) Math.min(call.k(), rows.liveRows());
    for (int q = 0; q < batch; q++) {
      squared[q] = check.check(operation, "query", q, queries, q * dim);
      JavaKernels.prepareQuery(metric, squared[q], queries, q * dim, dim);
      best[q] = new TopK(k);
    }
    if (k > 0) {
      new JavaScan(rows, metric, queries, best, masks(operation, rows, call), clock).scan();
    }
    for (int q = 0; q < batch; q++) {
      write(call, q, best[q], metric, squared[q]);
    }
  }

  /**
   * One mask per query, null where every live row may be returned; null when that is so for all.
   */
  private static int @Nullable [] @Nullable [] masks(
      String operation, JavaRows rows, Engine.SearchCall call) {
    if (call.filters().isEmpty()) {
      return null;
    }
    int words = Math.toIntExact(JavaRows.words(rows.rows()));
    int[][] filters = new int[call.filters().size()][];
    for (int f = 0; f < filters.length; f++) {
      int[] mask = new int[words];
      switch (call.filters().get(f)) {
        case Engine.RowFilter.Bits bits ->
            MemorySegment.copy(
                bits.words(),
                ValueLayout.JAVA_INT_UNALIGNED,
                0,
                mask,
                0,
                (int) Math.min(words, bits.count()));
        case Engine.RowFilter.Rows list -> {
          for (long i = 0; i < list.count(); i++) {
            long row = list.rows().getAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, i);
            JavaIndex.checkRow(operation, row, rows.rows());
            mask[(int) (row >>> 5)] |= 1 << (row & 31);
          }
        }
      }
      filters[f] = mask;
    }
    int[] @Nullable [] ofQuery = new int[call.batch()][];
    for (int q = 0; q < ofQuery.length; q++) {
      MemorySegment chosen = call.filterOfQuery();
      int filter = chosen == null ? 0 : chosen.getAtIndex(ValueLayout.JAVA_INT_UNALIGNED, q);
      ofQuery[q] = filter < 0 ? null : filters[filter];
    }
    return ofQuery;
  }

  private void scan() {
    for (int s = 0; s < rows.slabCount(); s++) {
      long first = (long) s * rows.slabRows();
      long end = Math.min(rows.rows(), first + rows.slabRows());
      for (long row = first; row < end; row += 32) { // slabs hold whole groups of 32
        scanGroup(s, row, first);
      }
    }
  }

  private void scanGroup(int slab, long group, long firstOfSlab) {
    int live = rows.liveWord(group >>> 5);
    int dim = rows.dim();
    float[] values = rows.slab(slab);
    float[] sides = rows.side(slab);
    for (int q = 0; q < best.length; q++) {
      int[] mask = masks == null ? null : masks[q];
      for (int left = mask == null ? live : live & mask[(int) (group >>> 5)];
          left != 0;
          left &= left - 1) {
        long row = group + Integer.numberOfTrailingZeros(left);
        int at = (int) (row - firstOfSlab);
        best[q].offer(
            JavaKernels.rank(metric, queries, q * dim, values, at * dim, dim, sides[at]), row);
      }
      work += 32L * dim;
      if (work >= POLL_EVERY) {
        work = 0;
        clock.poll();
      }
    }
  }

  static void write(Engine.SearchCall call, int q, TopK found, Metric metric, double squaredNorm) {
    found.sort();
    int k = call.k();
    int count = 0;
    for (; count < found.size(); count++) {
      float distance = JavaKernels.distance(metric, found.rankAt(count), squaredNorm);
      if (distance > call.maxDistance()) { // false for NaN: no limit
        break;
      }
      call.rows()
          .setAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, (long) q * k + count, found.rowAt(count));
      call.distances().setAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, (long) q * k + count, distance);
    }
    for (int i = count; i < k; i++) {
      call.rows().setAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, (long) q * k + i, -1);
      call.distances().setAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, (long) q * k + i, Float.NaN);
    }
    call.counts().setAtIndex(ValueLayout.JAVA_INT_UNALIGNED, q, count);
    MemorySegment certified = call.certified();
    if (certified != null) {
      certified.set(ValueLayout.JAVA_BYTE, q, (byte) 1); // every row was looked at
    }
    MemorySegment rescored = call.rescored();
    if (rescored != null) {
      rescored.setAtIndex(ValueLayout.JAVA_INT_UNALIGNED, q, 0);
    }
    MemorySegment lists = call.listsScanned();
    if (lists != null) {
      lists.setAtIndex(ValueLayout.JAVA_INT_UNALIGNED, q, 0); // there are none
    }
    MemorySegment recall = call.recall();
    if (recall != null) {
      recall.setAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, q, 1);
    }
  }
}
