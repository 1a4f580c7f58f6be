// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.plain;

/**
 * The k best of a stream of (rank, row) by the total order: smaller rank, then lower row. A heap
 * with the worst on top.
 */
final class TopK {
  private final float[] ranks;
  private final long[] rows;
  private int size;

  TopK(int k) {
    ranks = new float[k];
    rows = new long[k];
  }

  int size() {
    return size;
  }

  void offer(float rank, long row) {
    if (size < ranks.length) {
      int i = size++;
      while (i > 0 && worse(rank, row, (i - 1) / 2)) {
        int parent = (i - 1) / 2;
        ranks[i] = ranks[parent];
        rows[i] = rows[parent];
        i = parent;
      }
      ranks[i] = rank;
      rows[i] = row;
    } else if (!worse(rank, row, 0)) {
      sink(rank, row, size);
    }
  }

  /**
   * Sorts the hits into {@code rows} and {@code ranks} of {@link #rowAt} and {@link #rankAt}, best
   * first. Ends the stream.
   */
  void sort() {
    for (int end = size - 1; end > 0; end--) {
      float rank = ranks[end];
      long row = rows[end];
      ranks[end] = ranks[0];
      rows[end] = rows[0];
      sink(rank, row, end);
    }
  }

  float rankAt(int i) {
    return ranks[i];
  }

  long rowAt(int i) {
    return rows[i];
  }

  private boolean worse(float rank, long row, int than) {
    return rank > ranks[than] || (rank == ranks[than] && row > rows[than]);
  }

  /** Replaces the top of a heap of {@code n}. */
  private void sink(float rank, long row, int n) {
    int i = 0;
    while (true) {
      int child = 2 * i + 1;
      if (child >= n) {
        break;
      }
      if (child + 1 < n && worse(ranks[child + 1], rows[child + 1], child)) {
        child++;
      }
      if (!worse(ranks[child], rows[child], rank, row)) {
        break;
      }
      ranks[i] = ranks[child];
      rows[i] = rows[child];
      i = child;
    }
    ranks[i] = rank;
    rows[i] = row;
  }

  private static boolean worse(float rank, long row, float thanRank, long thanRow) {
    return rank > thanRank || (rank == thanRank && row > thanRow);
  }
}
