// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.device;

import dev.nearfield.Acceleration;
import dev.nearfield.Accelerators;
import dev.nearfield.BackendKind;
import dev.nearfield.BackendStatus;
import dev.nearfield.BackendStatus.Available;
import dev.nearfield.BackendStatus.Unavailable;
import dev.nearfield.BackendUnavailableException;
import dev.nearfield.Device;
import dev.nearfield.internal.value.DeviceInfo;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * The device that a policy leads to: real GPUs in the order of {@link BackendKind}, then the CPU,
 * then plain Java. A software adapter is never chosen; ask for it with {@link Accelerators#device}.
 *
 * @param passedOver the backends that rank higher and could not be used, best first; empty when the
 *     policy asked for the CPU and got the native one
 */
public record DeviceChoice(DeviceInfo device, List<Unavailable> passedOver) {
  private static final List<BackendKind> GPUS =
      List.of(BackendKind.CUDA, BackendKind.METAL, BackendKind.WGPU);

  public DeviceChoice {
    passedOver = List.copyOf(passedOver);
  }

  /**
   * The device for callers who name none.
   *
   * @throws BackendUnavailableException under {@link Acceleration#REQUIRED} without a real GPU
   */
  public static DeviceChoice of(Acceleration policy) {
    List<BackendStatus> statuses = new ArrayList<>();
    List<Unavailable> passedOver = new ArrayList<>();
    if (policy != Acceleration.DISABLED) {
      for (BackendKind kind : GPUS) {
        BackendStatus status = Backends.status(kind);
        statuses.add(status);
        switch (status) {
          case Available available -> {
            for (Device device : available.devices()) {
              if (!device.software()) {
                return new DeviceChoice((DeviceInfo) device, passedOver);
              }
            }
            passedOver.add(onlySoftware(available));
          }
          case Unavailable why -> passedOver.add(why);
        }
      }
      if (policy == Acceleration.REQUIRED) {
        throw new BackendUnavailableException(
            "a GPU is required and none can be used: "
                + passedOver.stream()
                    .map(why -> why.kind().id() + ": " + why.detail())
                    .collect(Collectors.joining("; ")),
            statuses);
      }
    }
    BackendStatus cpu = Backends.status(BackendKind.CPU);
    if (cpu instanceof Unavailable why) {
      passedOver.add(why);
      Available java = (Available) Backends.status(BackendKind.JAVA);
      return new DeviceChoice((DeviceInfo) java.devices().getFirst(), passedOver);
    }
    return new DeviceChoice((DeviceInfo) ((Available) cpu).devices().getFirst(), passedOver);
  }

  /**
   * The first real GPU of the backends that rank below this one, for when its own refuses. Looked
   * for only then: loading a backend takes time.
   */
  static Optional<Device> gpuAfter(BackendKind refused) {
    for (BackendKind kind : GPUS.subList(GPUS.indexOf(refused) + 1, GPUS.size())) {
      if (Backends.status(kind) instanceof Available available) {
        for (Device device : available.devices()) {
          if (!device.software()) {
            return Optional.of(device);
          }
        }
      }
    }
    return Optional.empty();
  }

  private static Unavailable onlySoftware(Available available) {
    Device device = available.devices().getFirst();
    return new Unavailable(
        available.kind(),
        BackendStatus.Reason.NO_DEVICE,
        "only a software adapter is there, %s (%s)".formatted(device.id(), device.name()),
        "Ask for it by name, %s, if you want it; it is slower than the cpu backend."
            .formatted(device.id()),
        available.attempts());
  }
}
