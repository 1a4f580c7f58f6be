// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.value;

import dev.nearfield.BackendKind;
import dev.nearfield.Device;
import dev.nearfield.Execution;
import dev.nearfield.FallbackReason;
import java.time.Duration;
import java.util.BitSet;
import java.util.Objects;
import java.util.Optional;

/**
 * The one implementation of {@link Execution}.
 *
 * @param notCertified queries whose answer is not certified; never changed any more
 */
public record ExecutionInfo(
    Device device,
    int queries,
    BitSet notCertified,
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
    return !notCertified.get(Objects.checkIndex(query, queries));
  }
}
