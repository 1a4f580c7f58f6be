// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/**
 * The nearest rows of each query, in columns: query q has {@link #hitCount}(q) hits, best first,
 * equal distances by lower row. Immutable. Methods throw {@link IndexOutOfBoundsException} for a
 * query or hit that does not exist.
 */
public interface KnnResult {
  int queryCount();

  /** The requested k, or the size of the dataset where that is less. */
  int hitCount(int query);

  /** Where the hit stands in the dataset, from 0. */
  int row(int query, int hit);

  float distance(int query, int hit);

  /** {@link Metric#score} of the distance. */
  float score(int query, int hit);

  Execution execution();
}
