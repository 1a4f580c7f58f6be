// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.value;

import dev.nearfield.Execution;
import dev.nearfield.Hit;
import dev.nearfield.Metric;
import dev.nearfield.SearchResult;
import dev.nearfield.VectorHandle;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;

/**
 * The one implementation of {@link SearchResult}: hit i of query q stands at {@code q * stride +
 * i}; owns its arrays.
 */
public record ColumnarResult(
    Metric metric,
    int stride,
    int[] counts,
    long[] handles,
    float[] distances,
    int[] rescored,
    int[] lists,
    float[] recall,
    Execution execution)
    implements SearchResult {
  @Override
  public int queryCount() {
    return counts.length;
  }

  @Override
  public int hitCount(int query) {
    return counts[Objects.checkIndex(query, counts.length)];
  }

  @Override
  public long handleBits(int query, int hit) {
    return handles[at(query, hit)];
  }

  @Override
  public float distance(int query, int hit) {
    return distances[at(query, hit)];
  }

  @Override
  public float score(int query, int hit) {
    return metric.score(distance(query, hit));
  }

  @Override
  public boolean certified(int query) {
    return execution.certified(query);
  }

  @Override
  public int rescored(int query) {
    return rescored[Objects.checkIndex(query, rescored.length)];
  }

  @Override
  public int listsScanned(int query) {
    return lists[Objects.checkIndex(query, lists.length)];
  }

  @Override
  public float recallEstimate(int query) {
    return recall[Objects.checkIndex(query, recall.length)];
  }

  @Override
  public List<Hit> hits(int query) {
    return IntStream.range(0, hitCount(query))
        .<Hit>mapToObj(
            i ->
                new HitInfo(
                    new VectorHandle(handleBits(query, i)), distance(query, i), score(query, i)))
        .toList();
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
    return "SearchResult of %d queries, %d hits in all, by %s"
        .formatted(counts.length, IntStream.of(counts).sum(), execution.device());
  }
}
