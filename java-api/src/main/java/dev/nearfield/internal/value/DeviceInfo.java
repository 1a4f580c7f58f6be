// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.value;

import dev.nearfield.BackendKind;
import dev.nearfield.Device;

/** The one implementation of {@link Device}; {@code ordinal} is the device number of the ABI. */
public record DeviceInfo(
    BackendKind backend,
    int ordinal,
    String name,
    String driver,
    long totalMemoryBytes,
    boolean software)
    implements Device {
  @Override
  public String id() {
    return backend.id() + ":" + ordinal;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof DeviceInfo that && backend == that.backend && ordinal == that.ordinal;
  }

  @Override
  public int hashCode() {
    return 31 * backend.hashCode() + ordinal;
  }

  @Override
  public String toString() {
    return id() + " " + name;
  }
}
