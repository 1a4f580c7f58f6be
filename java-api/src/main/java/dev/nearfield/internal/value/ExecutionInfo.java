// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.value;

import dev.nearfield.BackendKind;
import dev.nearfield.Device;
import dev.nearfield.Execution;
import dev.nearfield.FallbackReason;
import java.time.Duration;
import java.util.Objects;
import java.util.Optional;

/** The one implementation of {@link Execution}. */
public record ExecutionInfo(
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
