// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.value;

import dev.nearfield.BackendKind;
import dev.nearfield.BackendStatus;
import dev.nearfield.Device;
import dev.nearfield.Encoding;
import dev.nearfield.FallbackReason;
import dev.nearfield.Placement;
import java.util.List;
import java.util.Optional;

/** The one implementation of {@link Placement}. */
public record PlacementInfo(
    Device device,
    Encoding encoding,
    boolean listed,
    Optional<FallbackReason> fallback,
    List<BackendStatus.Unavailable> whyNotAccelerated)
    implements Placement {
  public PlacementInfo {
    whyNotAccelerated = List.copyOf(whyNotAccelerated);
  }

  /** Of the index that was made there. */
  public static PlacementInfo of(Placement there, Encoding encoding, boolean listed) {
    return new PlacementInfo(
        there.device(), encoding, listed, there.fallback(), there.whyNotAccelerated());
  }

  /** Of an index that is yet to be made there. */
  public PlacementInfo(
      Device device,
      Optional<FallbackReason> fallback,
      List<BackendStatus.Unavailable> whyNotAccelerated) {
    this(device, Encoding.F32, false, fallback, whyNotAccelerated);
  }

  @Override
  public BackendKind backend() {
    return device.backend();
  }
}
