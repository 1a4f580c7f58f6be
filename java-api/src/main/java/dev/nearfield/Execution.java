// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.time.Duration;
import java.util.Optional;

/** How and where a search was run. Immutable. */
public interface Execution {
  BackendKind backend();

  Device device();

  /**
   * Whether the answer to this query is proven equal to a full 32-bit scan of the rows it looked
   * at. On a flat index only a search with {@link SearchRequest.Builder#maxOversample} may have
   * others, and one that keeps {@link Encoding#INT8_ONLY} has no such answers.
   *
   * @throws IndexOutOfBoundsException unless the query exists
   */
  boolean certified(int query);

  /**
   * Queries that shared the device batch, those of this request included; the largest when the
   * request took several.
   */
  int batchSize();

  /** From submission to the start of the first device batch. */
  Duration queued();

  /** From there to the end of the last one. */
  Duration executed();

  /** Why this was not run where the acceleration policy asks first; empty when it was. */
  Optional<FallbackReason> fallback();
}
