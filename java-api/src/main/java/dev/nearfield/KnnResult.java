// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.Objects;

/**
 * The nearest rows of each query, in columns: query q has {@link #hitCount}(q) hits, best first,
 * equal distances by lower row. Immutable. Methods throw {@link IndexOutOfBoundsException} for a
 * query or hit that does not exist.
 */
public final class KnnResult {
  private final Metric metric;
  private final int stride;
  private final long[] rows;
  private final float[] distances;
  private final int[] counts;
  private final Execution execution;

  KnnResult(
      Metric metric,
      int stride,
      long[] rows,
      float[] distances,
      int[] counts,
      Execution execution) {
    this.metric = metric;
    this.stride = stride;
    this.rows = rows;
    this.distances = distances;
    this.counts = counts;
    this.execution = execution;
  }

  public int queryCount() {
    return counts.length;
  }

  /** The requested k, or the size of the dataset where that is less. */
  public int hitCount(int query) {
    return counts[Objects.checkIndex(query, counts.length)];
  }

  /** Where the hit stands in the dataset, from 0. */
  public int row(int query, int hit) {
    return (int) rows[at(query, hit)];
  }

  public float distance(int query, int hit) {
    return distances[at(query, hit)];
  }

  /** {@link Metric#score} of the distance. */
  public float score(int query, int hit) {
    return metric.score(distance(query, hit));
  }

  public Execution execution() {
    return execution;
  }

  private int at(int query, int hit) {
    Objects.checkIndex(hit, hitCount(query));
    return query * stride + hit;
  }

  @Override
  public String toString() {
    return "KnnResult of %d queries, up to %d hits each, by %s"
        .formatted(counts.length, stride, execution.device());
  }
}
