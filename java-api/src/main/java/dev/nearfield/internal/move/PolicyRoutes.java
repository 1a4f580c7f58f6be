// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.move;

import dev.nearfield.Acceleration;
import dev.nearfield.BackendStatus;
import dev.nearfield.Device;
import dev.nearfield.FallbackReason;
import dev.nearfield.Placement;
import dev.nearfield.internal.device.Backends;
import dev.nearfield.internal.device.DeviceChoice;
import dev.nearfield.internal.device.IndexTargets;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.value.PlacementInfo;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Where the acceleration policy lets an index go whose device was not named. */
public record PolicyRoutes(Acceleration policy, IndexConfig config) implements Elsewhere {
  @Override
  public @Nullable Destination better(Placement now) {
    if (now.fallback().isEmpty()) {
      return null;
    }
    Backends.forgetFailures(); // whoever asks for a move expects a change
    IndexTargets targets = IndexTargets.of(policy, null, null);
    Device best = targets.devices().getFirst();
    // Not just another one: what was there at the build may have gone since.
    boolean better = best.backend().ordinal() < now.device().backend().ordinal();
    return better ? to(best, targets.fallback(), targets.passedOver()) : null;
  }

  @Override
  public boolean hasRoomier(Placement now) {
    return policy == Acceleration.PREFERRED && IndexTargets.isGpu(now.device());
  }

  @Override
  public @Nullable Destination roomier(Placement now) {
    Device cpu = DeviceChoice.of(Acceleration.DISABLED).device();
    return to(cpu, Optional.of(FallbackReason.MEMORY_BUDGET), List.of());
  }

  private Destination to(
      Device device,
      Optional<FallbackReason> fallback,
      List<BackendStatus.Unavailable> passedOver) {
    return new Destination(
        DeviceOwner.acquire(device, IndexTargets::open),
        new PlacementInfo(device, fallback, passedOver),
        fallback.equals(Optional.of(FallbackReason.MEMORY_BUDGET))
            ? config.withoutBudget()
            : config);
  }
}
