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
  private static final StatusCache CACHE =
      new StatusCache(Backends::look, LibraryLoader::settings, System::nanoTime);

  /** Kept from the look, which may have found it by the caller's context class loader. */
  private static final Map<BackendKind, NativeCalls> LIBRARIES = new ConcurrentHashMap<>();

  private Backends() {}

  /** Makes the next look at this backend a fresh one. */
  public static void forget(BackendKind kind) {
    CACHE.forget(kind);
  }

  /** Makes the next look at every backend that could not be used a fresh one. */
  public static void forgetFailures() {
    CACHE.forgetFailures();
  }

  /** The status of one backend, from an earlier look if that is still good. */
  public static BackendStatus status(BackendKind kind) {
    return Settings.enabled(kind) ? CACHE.get(kind) : disabled(kind);
  }

  private static Unavailable disabled(BackendKind kind) {
    return new Unavailable(
        kind,
        Reason.DISABLED_BY_CONFIG,
        "switched off by -D" + Settings.enabledProperty(kind) + "=false",
        "Remove that property to use it.",
        List.of());
  }

  private static BackendStatus look(BackendKind kind) {
    if (kind == BackendKind.JAVA) {
      return new Available(kind, Optional.empty(), List.of(JavaEngine.DEVICE), List.of());
    }
    LibraryLoader.Outcome outcome = LibraryLoader.load(kind, Platform.current());
    LoadException failure = outcome.failure();
    NativeCalls calls = outcome.calls();
    if (calls != null) {
      try {
        Available found =
            new Available(
                kind,
                Optional.of(
                    new NativeLibrary(
                        Objects.requireNonNull(outcome.path()),
                        calls.abiMajor(),
                        calls.abiMinor(),
                        calls.build())),
                NativeDevices.list(kind, calls),
                outcome.attempts());
        LIBRARIES.put(kind, calls);
        return found;
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

  /** The library of a device that the last {@link #status} named. */
  public static NativeCalls library(DeviceInfo device) {
    NativeCalls calls = LIBRARIES.get(device.backend());
    if (calls == null) {
      throw new BackendUnavailableException(
          "%s cannot be used: no look at its backend has found it".formatted(device.id()),
          List.of(status(device.backend())));
    }
    return calls;
  }
}
