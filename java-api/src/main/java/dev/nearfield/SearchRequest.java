// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * What to search for. Immutable, holds a copy of its queries, and may be used many times, on many
 * indexes and threads at once.
 *
 * <pre>{@code
 * SearchRequest.builder().query(vector).topK(10).timeout(Duration.ofMillis(50)).build()
 * }</pre>
 */
public final class SearchRequest {
  private final VectorBatch queries;
  private final int topK;
  private final float minScore;
  private final float maxDistance;
  private final @Nullable HandleSet handles;
  private final @Nullable Predicate<? super VectorHandle> predicate;
  private final @Nullable Duration timeout;
  private final boolean exact;
  private final double maxOversample;
  private final int probes;
  private final double targetRecall;

  private SearchRequest(Builder from, VectorBatch queries) {
    this.queries = queries;
    this.topK = from.topK;
    this.minScore = from.minScore;
    this.maxDistance = from.maxDistance;
    this.handles = from.handles;
    this.predicate = from.predicate;
    this.timeout = from.timeout;
    this.exact = from.exact;
    this.maxOversample = from.maxOversample;
    this.probes = from.probes;
    this.targetRecall = from.targetRecall;
  }

  public static Builder builder() {
    return new Builder();
  }

  public int queryCount() {
    return queries.size();
  }

  public int dimension() {
    return queries.dimension();
  }

  public int topK() {
    return topK;
  }

  public boolean exact() {
    return exact;
  }

  /** As {@link Builder#maxOversample}; 0: no limit. */
  public double maxOversample() {
    return maxOversample;
  }

  /** As {@link Builder#probes}; 0: not said. */
  public int probes() {
    return probes;
  }

  /** As {@link Builder#targetRecall}; 0: not said. */
  public double targetRecall() {
    return targetRecall;
  }

  /** A view of the queries. */
  public VectorBatch queries() {
    return queries;
  }

  /** Only hits whose {@link Metric#score} is this or more; NaN: no such limit. */
  public float minScore() {
    return minScore;
  }

  /** Only hits at this distance or nearer; NaN: no such limit. */
  public float maxDistance() {
    return maxDistance;
  }

  /** The vectors to search within; empty: all. */
  public Optional<HandleSet> handles() {
    return Optional.ofNullable(handles);
  }

  /** What a vector's handle must pass besides; empty: nothing. */
  public Optional<Predicate<? super VectorHandle>> predicate() {
    return Optional.ofNullable(predicate);
  }

  /** How long the search may take; empty: the time-out of the index counts, if it has one. */
  public Optional<Duration> timeout() {
    return Optional.ofNullable(timeout);
  }

  /** Collects a request; not thread-safe. Of repeated calls to one method the last counts. */
  public static final class Builder {
    private float @Nullable [] queries;
    private int dimension;
    private int topK;
    private float minScore = Float.NaN;
    private float maxDistance = Float.NaN;
    private @Nullable HandleSet handles;
    private @Nullable Predicate<? super VectorHandle> predicate;
    private @Nullable Duration timeout;
    private boolean exact;
    private double maxOversample;
    private int probes;
    private double targetRecall;

    private Builder() {}

    /** One query, copied at once. This or {@link #queries} is needed. */
    public Builder query(float[] vector) {
      if (vector.length == 0) {
        throw new IllegalArgumentException(
            "SearchRequest: a query of [0] floats, at least 1 is needed");
      }
      queries = vector.clone();
      dimension = vector.length;
      return this;
    }

    /** Several queries, copied at once. */
    public Builder queries(VectorBatch vectors) {
      long floats = (long) vectors.size() * vectors.dimension();
      if (floats > Integer.MAX_VALUE - 8) {
        throw new IllegalArgumentException(
            "SearchRequest: [%d] queries of %d floats, one request holds at most %d floats"
                .formatted(vectors.size(), vectors.dimension(), Integer.MAX_VALUE - 8));
      }
      float[] copy = new float[(int) floats];
      vectors.copyTo(0, vectors.size(), MemorySegment.ofArray(copy));
      queries = copy;
      dimension = vectors.dimension();
      return this;
    }

    /** How many hits each query gets at most; at least 1. Needed. */
    public Builder topK(int k) {
      topK = k;
      return this;
    }

    /** Only hits whose {@link Metric#score} is this or more. */
    public Builder minScore(float score) {
      minScore = notNaN("minScore", score);
      return this;
    }

    /** Only hits at this distance or nearer. */
    public Builder maxDistance(float distance) {
      maxDistance = notNaN("maxDistance", distance);
      return this;
    }

    /** Only vectors in {@code handles}; together with a predicate, both must hold. */
    public Builder filter(HandleSet handles) {
      this.handles = Objects.requireNonNull(handles, "handles");
      return this;
    }

    /**
     * Only vectors whose handle passes. Called on the thread that calls {@code search} or {@code
     * searchAsync}, once per vector that is in the index then (and in the {@link HandleSet}, when
     * one is given), before the search is queued; vectors added meanwhile may or may not be judged.
     * What it throws goes to that caller. It may call the index. For a condition used again and
     * again a {@link HandleSet} is faster.
     */
    public Builder filter(Predicate<? super VectorHandle> predicate) {
      this.predicate = Objects.requireNonNull(predicate, "predicate");
      return this;
    }

    /**
     * How long the search may take, counted from its submission; by default as long as the index's
     * own time-out allows, if it has one.
     */
    public Builder timeout(Duration timeout) {
      if (timeout.isNegative() || timeout.isZero()) {
        throw new IllegalArgumentException(
            "SearchRequest: timeout [" + timeout + "], it must be positive");
      }
      this.timeout = timeout;
      return this;
    }

    /**
     * Asks for the answers of a full scan in 32-bit floats, whatever {@link #maxOversample}, {@link
     * #probes} and {@link #targetRecall} say. Without that a flat index always answers so, unless
     * it keeps {@link Encoding#INT8_ONLY}: that refuses such a search.
     */
    public Builder exact(boolean exact) {
      this.exact = exact;
      return this;
    }

    /**
     * Bounds the work of a search by codes ({@link Encoding#INT8}, {@link Encoding#INT8_ONLY}): of
     * the vectors that its scan cannot rule out, only the {@code factor * topK} most promising,
     * rounded up, are looked at in 32-bit floats. {@link SearchResult#certified} tells for each
     * query whether that was enough to prove the answer. The same vectors and the same codes give
     * the same answer, but a training of the codes may change it. An index without codes answers
     * exactly and has no use for this.
     *
     * @param factor 0, the default: no bound, and every answer is exact; else at least 1
     * @throws IllegalArgumentException for anything else
     */
    public Builder maxOversample(double factor) {
      if (!(factor == 0 || factor >= 1 && factor <= Float.MAX_VALUE)) {
        throw new IllegalArgumentException(
            "SearchRequest: maxOversample [%s], it must be 0 or lie in [1, %s]"
                .formatted(factor, Float.MAX_VALUE));
      }
      this.maxOversample = factor;
      return this;
    }

    /**
     * How many lists of an {@link IndexSpec.Ivf} a query looks into, those first whose centroids
     * are nearest to it; by default {@link #targetRecall} decides. Where these have fewer than k
     * vectors that may be answered it goes on to others, until it has k or none is left: {@link
     * SearchResult#listsScanned} tells. An index without lists (it is flat, not trained yet, or on
     * a device that has none) answers exactly and has no use for this.
     *
     * @param lists at least 1; more than the index has refuse the search
     * @throws IllegalArgumentException when it is below 1
     */
    public Builder probes(int lists) {
      if (lists < 1) {
        throw new IllegalArgumentException(
            "SearchRequest: probes [" + lists + "], at least 1 is needed");
      }
      this.probes = lists;
      return this;
    }

    /**
     * The share of the k nearest vectors that queries should find on average, instead of a number
     * of {@link #probes}: each goes on from list to list until it is estimated to have that ({@link
     * SearchResult#recallEstimate}). An index without lists answers exactly and has no use for
     * this.
     *
     * @param recall above 0, at most 1; where neither this nor probes are said, 0.95
     * @throws IllegalArgumentException for anything else
     */
    public Builder targetRecall(double recall) {
      if (!(recall > 0 && recall <= 1)) {
        throw new IllegalArgumentException(
            "SearchRequest: targetRecall [" + recall + "], it must lie in (0, 1]");
      }
      this.targetRecall = recall;
      return this;
    }

    /**
     * Checks everything that does not depend on the index.
     *
     * @throws IllegalArgumentException when there is no query or one has a NaN or infinity, when k
     *     is below 1, or when there are both probes and a target recall
     */
    public SearchRequest build() {
      if (queries == null) {
        throw new IllegalArgumentException("SearchRequest: [0] queries, at least 1 is needed");
      }
      if (topK < 1) {
        throw new IllegalArgumentException(
            "SearchRequest: topK [" + topK + "], at least 1 is needed");
      }
      if (probes != 0 && targetRecall != 0) {
        throw new IllegalArgumentException(
            "SearchRequest: probes [%d] and targetRecall [%s], only one of them is possible"
                .formatted(probes, targetRecall));
      }
      for (int i = 0; i < queries.length; i++) {
        if (!Float.isFinite(queries[i])) {
          throw new IllegalArgumentException(
              "SearchRequest: query [%d] has [%s] at dimension [%d], only finite numbers are allowed"
                  .formatted(i / dimension, queries[i], i % dimension));
        }
      }
      return new SearchRequest(this, VectorBatch.ofOwn(queries, dimension));
    }

    private static float notNaN(String name, float value) {
      if (Float.isNaN(value)) {
        throw new IllegalArgumentException("SearchRequest: " + name + " [NaN], a number is needed");
      }
      return value;
    }
  }
}
