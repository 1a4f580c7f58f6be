// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.List;

/**
 * The answers to a {@link SearchRequest}, in columns: query q has {@link #hitCount}(q) hits, best
 * first, equal distances in the order the vectors were added. Immutable and independent of the
 * index, which may change or close meanwhile. Methods throw {@link IndexOutOfBoundsException} for a
 * query or hit that does not exist.
 */
public interface SearchResult {
  int queryCount();

  /** At most the requested k; fewer when fewer vectors exist or pass the filter and limits. */
  int hitCount(int query);

  /** {@link VectorHandle#bits()} of a hit. */
  long handleBits(int query, int hit);

  float distance(int query, int hit);

  /** {@link Metric#score} of the distance. */
  float score(int query, int hit);

  /** The hits of one query as objects, in a new immutable list. */
  List<Hit> hits(int query);

  /**
   * Whether the answer to this query is proven equal to that of a full scan in 32-bit floats, of an
   * index with lists: of those it looked into ({@link #listsScanned}). Only a search with {@link
   * SearchRequest.Builder#maxOversample} may have others, and an index that keeps {@link
   * Encoding#INT8_ONLY}, where it is proven of none.
   */
  boolean certified(int query);

  /**
   * Vectors that were looked at in 32-bit floats after a scan had ruled out all others; 0 where
   * every vector was looked at so.
   */
  int rescored(int query);

  /** Lists that this query looked into; 0 where there are none, so that all vectors counted. */
  int listsScanned(int query);

  /**
   * An estimate of the share of the true k nearest that this answer holds ({@link
   * SearchRequest.Builder#targetRecall}); 1 where all vectors counted.
   */
  float recallEstimate(int query);

  Execution execution();
}
