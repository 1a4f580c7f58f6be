// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.Objects;

/**
 * How an index arranges its vectors, and what it keeps of each: given to {@link
 * AcceleratedVectorIndex.Builder#spec}.
 */
public sealed interface IndexSpec {
  /** Most lists of an index. */
  int MAX_LISTS = 65_536;

  /** What is kept of each vector. */
  Encoding encoding();

  /** Of all vectors each search looks at every one, or proves that it need not: exact answers. */
  static Flat flat() {
    return new Flat(Encoding.AUTO);
  }

  /**
   * As {@link Ivf}.
   *
   * @param lists 0: about the square root of the number of vectors there are when it is trained
   */
  static Ivf ivf(int lists) {
    return new Ivf(lists, Encoding.AUTO);
  }

  /** The same with another encoding. */
  default IndexSpec withEncoding(Encoding other) {
    return switch (this) {
      case Flat flat -> new Flat(other);
      case Ivf ivf -> new Ivf(ivf.lists(), other);
    };
  }

  /** One after the other, as they were added. */
  record Flat(Encoding encoding) implements IndexSpec {
    public Flat {
      Objects.requireNonNull(encoding, "encoding");
    }
  }

  /**
   * In lists around centroids (an inverted file): a search looks into those whose centroids are
   * nearest to its query, and misses what lies in others. How many those are is up to the search
   * ({@link SearchRequest.Builder#probes}, {@link SearchRequest.Builder#targetRecall}), which may
   * ask for exact answers, too ({@link SearchRequest.Builder#exact}).
   *
   * <p>There are no lists before {@link AcceleratedVectorIndex#train()}, which nobody calls but the
   * user; until then, and on devices that have no lists, plain Java among them, such an index
   * answers all that is asked of it as a flat one does: exactly. {@link Placement#listed} tells.
   *
   * <p>Not with {@link Encoding#INT8_ONLY}. With {@link Metric#MANHATTAN} no device has lists.
   *
   * @param lists from 1 to {@value #MAX_LISTS}, or 0: about the square root of the number of
   *     vectors there are when it is trained
   */
  record Ivf(int lists, Encoding encoding) implements IndexSpec {
    public Ivf {
      Objects.requireNonNull(encoding, "encoding");
      if (lists < 0 || lists > MAX_LISTS) {
        throw new IllegalArgumentException(
            "IndexSpec.ivf: lists [%d], it must lie in [0, %d]".formatted(lists, MAX_LISTS));
      }
    }
  }
}
