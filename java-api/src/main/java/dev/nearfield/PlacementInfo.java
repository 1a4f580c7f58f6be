// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.List;
import java.util.Optional;

/** The one implementation of {@link Placement}. */
record PlacementInfo(
    Device device,
    Optional<FallbackReason> fallback,
    List<BackendStatus.Unavailable> whyNotAccelerated)
    implements Placement {
  PlacementInfo {
    whyNotAccelerated = List.copyOf(whyNotAccelerated);
  }

  @Override
  public BackendKind backend() {
    return device.backend();
  }
}
