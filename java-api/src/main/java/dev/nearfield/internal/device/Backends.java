// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.device;

import dev.nearfield.BackendKind;
import dev.nearfield.BackendStatus;
import dev.nearfield.BackendStatus.Available;
import dev.nearfield.BackendStatus.NativeLibrary;
import dev.nearfield.BackendStatus.Reason;
import dev.nearfield.BackendStatus.Unavailable;
import dev.nearfield.BackendUnavailableException;
import dev.nearfield.VectorIndexException;
import dev.nearfield.internal.load.LibraryLoader;
import dev.nearfield.internal.load.Platform;
import dev.nearfield.internal.natives.LoadException;
import dev.nearfield.internal.natives.NativeCalls;
import dev.nearfield.internal.natives.NativeDevices;
import dev.nearfield.internal.plain.JavaEngine;
import dev.nearfield.internal.value.DeviceInfo;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/** What each backend offers, and its loaded library. Safe for use by many threads. */
public final class Backends {
  /** Only successes: a missing library may have been installed meanwhile. */
  private static final Map<BackendKind, Available> KNOWN = new ConcurrentHashMap<>();

  private Backends() {}

  /** Makes the next look at this backend a fresh one. */
  public static void forget(BackendKind kind) {
    KNOWN.remove(kind);
  }

  /** The status of one backend, from an earlier look if that one succeeded. */
  public static BackendStatus status(BackendKind kind) {
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

  /** The loaded library of a device that {@link #status} named. */
  public static NativeCalls library(DeviceInfo device) {
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
