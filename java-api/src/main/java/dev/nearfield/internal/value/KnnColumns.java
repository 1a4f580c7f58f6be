// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.value;

import dev.nearfield.Execution;
import dev.nearfield.KnnResult;
import dev.nearfield.Metric;
import java.util.Objects;

/**
 * The one implementation of {@link KnnResult}: hit i of query q stands at {@code q * stride + i};
 * owns its arrays.
 */
public record KnnColumns(
    Metric metric, int stride, int[] counts, long[] rows, float[] distances, Execution execution)
    implements KnnResult {
  @Override
  public int queryCount() {
    return counts.length;
  }

  @Override
  public int hitCount(int query) {
    return counts[Objects.checkIndex(query, counts.length)];
  }

  @Override
  public int row(int query, int hit) {
    return (int) rows[at(query, hit)];
  }

  @Override
  public float distance(int query, int hit) {
    return distances[at(query, hit)];
  }

  @Override
  public float score(int query, int hit) {
    return metric.score(distance(query, hit));
  }

  private int at(int query, int hit) {
    Objects.checkIndex(hit, hitCount(query));
    return query * stride + hit;
  }

  @Override
  public boolean equals(Object other) {
    return this == other;
  }

  @Override
  public int hashCode() {
    return System.identityHashCode(this);
  }

  @Override
  public String toString() {
    return "KnnResult of %d queries, up to %d hits each, by %s"
        .formatted(counts.length, stride, execution.device());
  }
}
