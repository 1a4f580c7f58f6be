// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.natives;

import dev.nearfield.BackendKind;
import dev.nearfield.BackendStatus.Reason;
import dev.nearfield.Device;
import dev.nearfield.ffi.nearfield_h;
import dev.nearfield.ffi.nf_device_info;
import dev.nearfield.internal.engine.Engine.CallControl;
import dev.nearfield.internal.value.DeviceInfo;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/** The devices of one loaded library. Any thread. */
public final class NativeDevices {
  private NativeDevices() {}

  /** {@code nf_device_info}; sizes in bytes, 0 when the driver does not tell. */
  record Facts(String name, String driver, long memoryBytes, long freeBytes, boolean software) {}

  /** At least one device. */
  public static List<Device> list(BackendKind kind, NativeCalls calls) throws LoadException {
    int count = count(kind, calls);
    List<Device> devices = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      Facts facts = facts(calls, i);
      devices.add(
          new DeviceInfo(
              kind, i, facts.name(), facts.driver(), facts.memoryBytes(), facts.software()));
    }
    return devices;
  }

  private static int count(BackendKind kind, NativeCalls calls) throws LoadException {
    int status;
    int described;
    String description;
    String message;
    int count;
    try (CallFrame frame = new CallFrame(CallControl.NONE)) {
      MemorySegment out = frame.room(ValueLayout.JAVA_INT, 1);
      status = calls.deviceCount(out, frame);
      described = frame.describedStatus();
      description = frame.description();
      message = frame.message(status, "nf_device_count");
      count = out.get(ValueLayout.JAVA_INT, 0);
    }
    if (status == nearfield_h.NF_OK() && count > 0) {
      return count;
    }
    // No device is no failure of the call: the reason then stands in its description.
    int why = status == nearfield_h.NF_OK() ? described : status;
    if (why == nearfield_h.NF_UNAVAILABLE()) {
      throw new LoadException(
          Reason.DRIVER_MISSING,
          message,
          "Install the driver it names, if this machine has a device for it.");
    }
    if (why == nearfield_h.NF_FAILED_PRECONDITION()) {
      throw new LoadException(Reason.DRIVER_TOO_OLD, message, "Update the driver it names.");
    }
    if (why != nearfield_h.NF_OK()) {
      throw new LoadException(Reason.LOAD_FAILED, message, LoadException.REPORT_HINT);
    }
    throw new LoadException(
        Reason.NO_DEVICE,
        description.isEmpty() ? "the " + kind.id() + " library found no device" : description,
        "Check that the device is visible to this process and its driver is installed.");
  }

  static Facts facts(NativeCalls calls, int ordinal) {
    try (CallFrame frame = new CallFrame(CallControl.NONE)) {
      MemorySegment info = frame.struct(nf_device_info.layout());
      frame.check(calls.deviceInfo(ordinal, info, frame), "nf_device_info");
      return new Facts(
          CallFrame.text(nf_device_info.name(info)),
          CallFrame.text(nf_device_info.driver(info)),
          nf_device_info.memory_bytes(info),
          nf_device_info.free_bytes(info),
          // An emulator runs kernels on the CPU, too: never chosen, only used by name.
          nf_device_info.software(info) != 0 || nf_device_info.emulated(info) != 0);
    }
  }
}
