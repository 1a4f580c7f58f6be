// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import dev.nearfield.Device;
import dev.nearfield.DeviceLostException;
import dev.nearfield.internal.engine.Engine;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Function;

/** The first use of a device by someone. */
public final class OnDevice {
  private OnDevice() {}

  /**
   * Acquires an owner for a use that releases it, at the latest when it fails. When the use finds
   * that an engine opened earlier has lost its device, it is tried once more with a new one.
   */
  public static <T> T use(
      Device device, Function<Device, Engine> open, Function<DeviceOwner, T> use) {
    AtomicBoolean fresh = new AtomicBoolean();
    DeviceOwner owner =
        DeviceOwner.acquire(
            device,
            at -> {
              fresh.set(true);
              return open.apply(at);
            });
    try {
      return use.apply(owner);
    } catch (DeviceLostException e) {
      if (fresh.get()) {
        throw e;
      }
      return use.apply(DeviceOwner.acquire(device, open));
    }
  }
}
