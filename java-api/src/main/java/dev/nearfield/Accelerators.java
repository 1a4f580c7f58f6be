// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import dev.nearfield.BackendStatus.Available;
import dev.nearfield.BackendStatus.NativeLibrary;
import dev.nearfield.BackendStatus.Reason;
import dev.nearfield.BackendStatus.Unavailable;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/**
 * What this machine can run on. Native libraries load at the first call that needs them; what
 * failed can be tried again in the same JVM. Safe for use by many threads.
 *
 * <table>
 *   <caption>System properties</caption>
 *   <tr><td>{@code nearfield.native.<backend>.path}
 *       <td>the library file of a backend; when set, no other place is tried
 *   <tr><td>{@systemProperty nearfield.native.workdir}
 *       <td>the folder that libraries from jars are unpacked to; by default the user's cache folder, or
 *       the temporary folder where that cannot be used
 *   <tr><td>{@code nearfield.<backend>.enabled}
 *       <td>{@code false} switches a backend off
 *   <tr><td>{@systemProperty nearfield.acceleration}
 *       <td>{@code required}, {@code preferred} or {@code disabled}: the policy where a caller names
 *       none; the environment variable {@code NEARFIELD_ACCELERATION} comes after it
 * </table>
 */
public final class Accelerators {
  /** Only successes: a missing library may have been installed meanwhile. */
  private static final Map<BackendKind, Available> KNOWN = new ConcurrentHashMap<>();

  private Accelerators() {}

  /**
   * Looks at every backend anew. Never throws: what is wrong with a backend is in its status.
   *
   * @return one status for each {@link BackendKind}, in their order
   */
  public static List<BackendStatus> probe() {
    List<BackendStatus> statuses = new ArrayList<>();
    for (BackendKind kind : BackendKind.values()) {
      forget(kind);
      statuses.add(status(kind));
    }
    return List.copyOf(statuses);
  }

  /**
   * A page for people: platform, JDK, native access, every backend with its devices or the reason
   * for its absence, and what to do next. The text is not meant to be parsed.
   */
  public static String report() {
    return Report.of(probe());
  }

  /**
   * The device of that name: {@code wgpu:0} as {@link Device#id()} gives it, or only {@code wgpu}
   * for the first device of a backend. The way to ask for a software adapter.
   *
   * @throws IllegalArgumentException when the name is not of that form, or names no backend
   * @throws BackendUnavailableException when the backend cannot be used or has no such device
   */
  public static Device device(String name) {
    int colon = name.indexOf(':');
    BackendKind kind = BackendKind.of(colon < 0 ? name : name.substring(0, colon));
    if (colon >= 0 && !name.substring(colon + 1).matches("\\d{1,9}")) {
      throw new IllegalArgumentException(
          "Accelerators.device: [%s] is no device name such as %s:0".formatted(name, kind.id()));
    }
    int ordinal = colon < 0 ? 0 : Integer.parseInt(name.substring(colon + 1));
    BackendStatus status = status(kind);
    return switch (status) {
      case Unavailable why ->
          throw new BackendUnavailableException(
              "Accelerators.device: [%s] cannot be used: %s".formatted(name, why.detail()),
              List.of(why));
      case Available available -> {
        if (ordinal >= available.devices().size()) {
          throw new BackendUnavailableException(
              "Accelerators.device: there is no [%s], %s has %d device(s)"
                  .formatted(name, kind.id(), available.devices().size()),
              List.of(available));
        }
        yield available.devices().get(ordinal);
      }
    };
  }

  /** Makes the next look at this backend a fresh one. */
  static void forget(BackendKind kind) {
    KNOWN.remove(kind);
  }

  /** The status of one backend, from an earlier look if that one succeeded. */
  static BackendStatus status(BackendKind kind) {
    Available known = KNOWN.get(kind);
    if (known != null && Settings.enabled(kind)) {
      return known;
    }
    BackendStatus status = look(kind);
    if (status instanceof Available available) {
      KNOWN.put(kind, available);
    }
    return status;
  }

  private static BackendStatus look(BackendKind kind) {
    if (!Settings.enabled(kind)) {
      return new Unavailable(
          kind,
          Reason.DISABLED_BY_CONFIG,
          "switched off by -D" + Settings.enabledProperty(kind) + "=false",
          "Remove that property to use it.",
          List.of());
    }
    if (kind == BackendKind.JAVA) {
      return new Available(kind, Optional.empty(), List.of(JavaEngine.DEVICE), List.of());
    }
    LibraryLoader.Outcome outcome = LibraryLoader.load(kind, Platform.current());
    LoadException failure = outcome.failure();
    NativeCalls calls = outcome.calls();
    if (calls != null) {
      try {
        return new Available(
            kind,
            Optional.of(
                new NativeLibrary(
                    Objects.requireNonNull(outcome.path()),
                    calls.abiMajor(),
                    calls.abiMinor(),
                    calls.build())),
            NativeDevices.list(kind, calls),
            outcome.attempts());
      } catch (LoadException e) {
        failure = e;
      } catch (VectorIndexException e) {
        failure =
            new LoadException(
                Reason.LOAD_FAILED, Objects.toString(e.getMessage()), LoadException.REPORT_HINT);
      }
    }
    Objects.requireNonNull(failure);
    return new Unavailable(
        kind,
        failure.reason(),
        Objects.toString(failure.getMessage()),
        failure.hint(),
        outcome.attempts());
  }

  /** The loaded library of a device that {@link #probe} or {@link #device} named. */
  static NativeCalls library(DeviceInfo device) {
    LibraryLoader.Outcome outcome = LibraryLoader.load(device.backend(), Platform.current());
    NativeCalls calls = outcome.calls();
    if (calls == null) {
      throw new BackendUnavailableException(
          "%s cannot be used: %s"
              .formatted(device.id(), Objects.requireNonNull(outcome.failure()).getMessage()),
          List.of(look(device.backend())));
    }
    return calls;
  }
}
