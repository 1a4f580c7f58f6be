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
import dev.nearfield.LoadAttempt;
import dev.nearfield.internal.load.NativeAccess;
import dev.nearfield.internal.load.NearfieldVersion;
import dev.nearfield.internal.load.Platform;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** The text of {@link Accelerators#report()}. */
public final class Report {
  private static final String ENTRY = "  %-15s %s%n";
  private static final String DETAIL = "          %s%n";

  private final StringBuilder text = new StringBuilder();

  private Report() {}

  public static String of(List<BackendStatus> statuses) {
    Report report = new Report();
    report.machine();
    for (BackendStatus status : statuses) {
      report.backend(status);
    }
    report.conclusion(statuses);
    return report.text.toString();
  }

  private void machine() {
    line("Nearfield %s%n", NearfieldVersion.current());
    line(
        ENTRY,
        "platform",
        "%s, %d processors"
            .formatted(Platform.current(), Runtime.getRuntime().availableProcessors()));
    line(
        ENTRY,
        "java",
        "%s (%s), %s"
            .formatted(
                Runtime.version(),
                System.getProperty("java.vendor", "unknown vendor"),
                System.getProperty("java.home", "")));
    line(
        ENTRY,
        "native access",
        NativeAccess.granted()
            ? "granted to " + NativeAccess.who()
            : "denied to " + NativeAccess.who() + "; start java with " + NativeAccess.flag());
    line(ENTRY, "acceleration", acceleration());
  }

  private static String acceleration() {
    try {
      return Settings.acceleration().name().toLowerCase(Locale.ROOT);
    } catch (IllegalArgumentException e) {
      return "wrong setting: " + e.getMessage();
    }
  }

  private void backend(BackendStatus status) {
    text.append(System.lineSeparator());
    String name = status.kind().id();
    switch (status) {
      case Unavailable why -> {
        line("  %-6s  not available: %s%n", name, why.detail());
        if (why.reason() != BackendStatus.Reason.NATIVE_ACCESS_DENIED) { // said once, above
          line(DETAIL, why.hint());
        }
      }
      case Available available -> {
        boolean software = available.devices().stream().allMatch(Device::software);
        line(
            "  %-6s  available%s%n",
            name, software ? ", in software only: used when asked for by name" : "");
        for (Device device : available.devices()) {
          line(DETAIL, describe(device));
        }
        available
            .library()
            .ifPresent(
                library ->
                    line(
                        DETAIL,
                        "ABI %d.%d, build %s"
                            .formatted(library.abiMajor(), library.abiMinor(), library.build())));
      }
    }
    for (LoadAttempt attempt : status.attempts()) {
      line(DETAIL, attempt.source() + ": " + attempt.outcome());
    }
  }

  static String describe(Device device) {
    StringBuilder line = new StringBuilder(device.id()).append("  ").append(device.name());
    if (!device.driver().isEmpty()) {
      line.append(", ").append(device.driver());
    }
    if (device.totalMemoryBytes() > 0) {
      line.append(
          String.format(Locale.ROOT, ", %.1f GiB", device.totalMemoryBytes() / (double) (1 << 30)));
    }
    if (device.software()) {
      line.append(", software");
    }
    return line.toString();
  }

  private void conclusion(List<BackendStatus> statuses) {
    text.append(System.lineSeparator());
    try {
      Acceleration policy = Settings.acceleration();
      Device device = DeviceChoice.of(policy).device();
      line("Searches run on %s (%s).%n", device.id(), device.name());
      line("Next step: %s%n", nextStep(policy, device, statuses));
    } catch (IllegalArgumentException e) {
      line("No index can be built.%n");
      line("Next step: correct the setting of the acceleration: %s.%n", e.getMessage());
    } catch (BackendUnavailableException e) {
      line("No index can be built: a GPU is required and none can be used.%n");
      line("Next step: make a GPU usable, see the reasons above, or do not require one.%n");
    }
  }

  private static String nextStep(Acceleration policy, Device device, List<BackendStatus> statuses) {
    if (!NativeAccess.granted()) {
      return "start java with " + NativeAccess.flag() + "; without it only plain Java runs.";
    }
    for (BackendStatus status : statuses) {
      // What is present but broken comes before what was never installed.
      if (status instanceof Unavailable why && worthMending(why, IndexTargets.isGpu(device))) {
        return why.kind().id() + ": " + why.hint();
      }
    }
    return switch (device.backend()) {
      case JAVA ->
          statuses.get(BackendKind.CPU.ordinal()) instanceof Unavailable why
              ? "cpu: " + why.hint()
              : "none needed; plain Java was asked for.";
      case CPU ->
          policy == Acceleration.DISABLED
              ? "none needed; the acceleration is switched off."
              : "none needed; no GPU of this machine can be used, see the reasons above.";
      default -> "none needed.";
    };
  }

  private static boolean worthMending(Unavailable why, boolean gpuChosen) {
    return switch (why.reason()) {
      case LOAD_FAILED, ABI_MISMATCH, DRIVER_TOO_OLD -> true;
      // Where another GPU does the work, the driver of a device that is not here is no loss.
      case DRIVER_MISSING -> !gpuChosen;
      // A path that was set by hand and leads nowhere is a mistake; a library never installed is
      // not.
      case NOT_FOUND -> System.getProperty("nearfield.native." + why.kind().id() + ".path") != null;
      default -> false;
    };
  }

  private void line(String format, @Nullable Object... arguments) {
    text.append(String.format(Locale.ROOT, format, arguments));
  }
}
