// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.natives;

import static dev.nearfield.ffi.nearfield_h.NF_CANCELLED;
import static dev.nearfield.ffi.nearfield_h.NF_DEADLINE_EXCEEDED;
import static dev.nearfield.ffi.nearfield_h.NF_DEVICE_LOST;
import static dev.nearfield.ffi.nearfield_h.NF_INVALID_ARGUMENT;
import static dev.nearfield.ffi.nearfield_h.NF_RESOURCE_EXHAUSTED;
import static dev.nearfield.ffi.nearfield_h.NF_UNAVAILABLE;

import dev.nearfield.BackendUnavailableException;
import dev.nearfield.DeviceLostException;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.NativeCallException;
import dev.nearfield.SearchTimeoutException;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.function.Supplier;

/** From {@code nf_status} to the public exceptions. The message is the sentence of the library. */
final class NativeErrors {
  private NativeErrors() {}

  /** Memory of the device in bytes; -1 where unknown. */
  record Memory(long requested, long free, long total) {
    static final Memory UNKNOWN = new Memory(-1, -1, -1);
  }

  static RuntimeException of(int status, String function, String message, Supplier<Memory> memory) {
    if (status == NF_CANCELLED()) {
      return new CancellationException(message);
    }
    if (status == NF_INVALID_ARGUMENT()) {
      return new IllegalArgumentException(message);
    }
    if (status == NF_DEADLINE_EXCEEDED()) {
      return new SearchTimeoutException(message);
    }
    if (status == NF_RESOURCE_EXHAUSTED()) {
      Memory bytes = known(memory);
      return new DeviceOutOfMemoryException(
          message, bytes.requested(), bytes.free(), bytes.total());
    }
    if (status == NF_UNAVAILABLE()) {
      return new BackendUnavailableException(message, List.of());
    }
    if (status == NF_DEVICE_LOST()) {
      return new DeviceLostException(message);
    }
    return new NativeCallException(status, function, message);
  }

  private static Memory known(Supplier<Memory> memory) {
    try {
      return memory.get();
    } catch (RuntimeException e) {
      return Memory.UNKNOWN; // the failure at hand is the one to report
    }
  }
}
