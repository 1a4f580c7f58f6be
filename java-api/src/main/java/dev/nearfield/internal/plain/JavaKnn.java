// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.plain;

import dev.nearfield.Metric;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.VectorCheck;
import dev.nearfield.internal.plain.JavaEngine.CallClock;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Stateless search of the plain-Java backend: the rows pass through a block on the heap, which
 * every query meets before the next rows are taken. A hit is worse or better by its rank and its
 * row alone, so the answers are the same wherever a piece or a step ends.
 */
final class JavaKnn implements Engine.Knn {
  /** Floats of a block, 256 KiB: with a query they stay in a second-level cache. */
  private static final int BLOCK_FLOATS = 1 << 16;

  /** Multiply-adds, or floats copied, between two looks at the clock: about a millisecond. */
  private static final long PIECE_OF_WORK = 1 << 20;

  /** What sorting and writing one hit costs, in multiply-adds. */
  private static final long WRITE_WORK = 16;

  private final Metric metric;
  private final int dim;
  private final long rows;
  private final Engine.SearchCall search;
  private final VectorCheck check;
  private final float[] queries;
  private final double[] squared;
  private final TopK[] best;
  private int prepared; // queries

  private final float[] block;
  private final float[] sides;
  private long firstRow; // of the block
  private int blockRows;
  private int nextQuery; // to meet the block
  private int written; // queries

  private CallClock clock;
  private long stopAt;
  private boolean limited;
  private long work;

  JavaKnn(Metric metric, int dim, long rows, Engine.SearchCall search) {
    if (search.k() < 1) {
      throw new IllegalArgumentException("knn: k [" + search.k() + "], at least 1 is needed");
    }
    if (!search.filters().isEmpty() || !Float.isNaN(search.maxDistance())) {
      throw new IllegalArgumentException(
          "knn: [%d] filters and maxDistance [%s], neither is possible"
              .formatted(search.filters().size(), search.maxDistance()));
    }
    this.metric = metric;
    this.dim = dim;
    this.rows = rows;
    this.search = search;
    this.check = new VectorCheck(metric, dim, 0);
    this.queries = new float[Math.multiplyExact(search.batch(), dim)];
    this.squared = new double[search.batch()];
    this.best = new TopK[search.batch()];
    int most = (int) Math.min(rows, Math.max(1, BLOCK_FLOATS / dim));
    this.block = new float[most * dim];
    this.sides = new float[most];
    this.clock = new CallClock("knn", Engine.CallControl.NONE);
  }

  @Override
  public long position() {
    return firstRow + blockRows;
  }

  @Override
  public boolean step(
      MemorySegment piece, long count, long budgetNanos, Engine.CallControl control) {
    long begin = position();
    clock = new CallClock("knn", control);
    clock.poll();
    limited = budgetNanos != 0;
    stopAt = System.nanoTime() + budgetNanos;
    work = 0;
    do {
      if (prepared < best.length) {
        prepare();
      } else if (nextQuery < best.length && blockRows > 0) {
        scan();
      } else if (position() < rows) {
        long left = count - (position() - begin);
        if (left == 0) {
          return false;
        }
        load(piece, position() - begin, left);
      } else if (written < best.length) {
        write(written++);
      } else {
        return true;
      }
    } while (!pause());
    return position() == rows && written == best.length;
  }

  /** Looks at the cancel word and the clock after enough work; answers whether to stop here. */
  private boolean pause() {
    if (work < PIECE_OF_WORK) {
      return false;
    }
    work = 0;
    clock.poll();
    return limited && System.nanoTime() - stopAt >= 0;
  }

  private void prepare() {
    int at = prepared * dim;
    MemorySegment.copy(
        search.queries(),
        ValueLayout.JAVA_FLOAT_UNALIGNED,
        (long) at * Float.BYTES,
        queries,
        at,
        dim);
    squared[prepared] = check.check("knn", "query", prepared, queries, at);
    JavaKernels.prepareQuery(metric, squared[prepared], queries, at, dim);
    best[prepared] = new TopK((int) Math.min(search.k(), rows));
    prepared++;
    work += dim;
  }

  /** Takes the next block of rows, the piece's from {@code offset} on. */
  private void load(MemorySegment piece, long offset, long left) {
    int count = (int) Math.min(sides.length, left);
    long next = position();
    MemorySegment.copy(
        piece, ValueLayout.JAVA_FLOAT_UNALIGNED, offset * dim * Float.BYTES, block, 0, count * dim);
    for (int i = 0; i < count; i++) {
      double norm = check.check("knn", "row", next + i, block, i * dim);
      sides[i] = JavaKernels.side(metric, norm);
    }
    firstRow = next;
    blockRows = count;
    nextQuery = 0;
    work += (long) count * dim;
  }

  private void scan() {
    TopK hits = best[nextQuery];
    int query = nextQuery * dim;
    for (int i = 0; i < blockRows; i++) {
      float rank = JavaKernels.rank(metric, queries, query, block, i * dim, dim, sides[i]);
      hits.offer(rank, firstRow + i);
    }
    nextQuery++;
    work += (long) blockRows * dim;
  }

  private void write(int query) {
    JavaScan.write(search, query, best[query], metric, squared[query]);
    work += WRITE_WORK * search.k();
  }

  @Override
  public void close() {}
}
