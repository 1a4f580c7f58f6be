// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.time.Duration;
import java.util.Objects;
import java.util.Optional;

/** The one implementation of {@link Execution}. */
record ExecutionInfo(
    Device device,
    int queries,
    int batchSize,
    Duration queued,
    Duration executed,
    Optional<FallbackReason> fallback)
    implements Execution {
  @Override
  public BackendKind backend() {
    return device.backend();
  }

  @Override
  public boolean certified(int query) {
    Objects.checkIndex(query, queries);
    return true; // rows are stored and scanned in f32, and every backend ends in the canonical form
  }
}
