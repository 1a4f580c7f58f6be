// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/** What one backend offers on this machine, as {@link Accelerators#probe()} found it. Immutable. */
public sealed interface BackendStatus {
  BackendKind kind();

  /** Where the library was looked for, in order; empty for {@link BackendKind#JAVA}. */
  List<LoadAttempt> attempts();

  /**
   * A backend that can be used.
   *
   * @param library the loaded library; empty for {@link BackendKind#JAVA}
   * @param devices at least one
   */
  record Available(
      BackendKind kind,
      Optional<NativeLibrary> library,
      List<Device> devices,
      List<LoadAttempt> attempts)
      implements BackendStatus {
    public Available {
      Objects.requireNonNull(kind, "kind");
      Objects.requireNonNull(library, "library");
      devices = List.copyOf(devices);
      attempts = List.copyOf(attempts);
    }
  }

  /**
   * A backend that cannot be used.
   *
   * @param detail what was found, in one sentence
   * @param hint what to do about it, in one sentence
   */
  record Unavailable(
      BackendKind kind, Reason reason, String detail, String hint, List<LoadAttempt> attempts)
      implements BackendStatus {
    public Unavailable {
      Objects.requireNonNull(kind, "kind");
      Objects.requireNonNull(reason, "reason");
      Objects.requireNonNull(detail, "detail");
      Objects.requireNonNull(hint, "hint");
      attempts = List.copyOf(attempts);
    }
  }

  /**
   * A loaded native library.
   *
   * @param build version, code paths and compiler, as the library itself tells them
   */
  record NativeLibrary(Path path, int abiMajor, int abiMinor, String build) {
    public NativeLibrary {
      Objects.requireNonNull(path, "path");
      Objects.requireNonNull(build, "build");
    }
  }

  /** Why a backend cannot be used. */
  enum Reason {
    /** No library of this backend was found. */
    NOT_FOUND,
    /** There is no library for this operating system, processor or C library. */
    UNSUPPORTED_PLATFORM,
    /** The JVM forbids native access to this module. */
    NATIVE_ACCESS_DENIED,
    /** A library is there but cannot be loaded. */
    LOAD_FAILED,
    /** The library speaks another major version of the C ABI. */
    ABI_MISMATCH,
    /** The library is loaded, but the driver it needs is not installed. */
    DRIVER_MISSING,
    /** The installed driver is older than the library needs. */
    DRIVER_TOO_OLD,
    /** Library and driver are there, but no device. */
    NO_DEVICE,
    /** Switched off by {@code nearfield.<backend>.enabled} or {@code NEARFIELD_ACCELERATION}. */
    DISABLED_BY_CONFIG
  }
}
