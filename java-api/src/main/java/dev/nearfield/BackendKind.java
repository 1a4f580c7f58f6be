// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.Locale;

/** What runs the kernels. The order is the order of preference among real devices. */
public enum BackendKind {
  /** NVIDIA GPUs through the CUDA driver. */
  CUDA,
  /** Apple GPUs. */
  METAL,
  /** Any GPU that wgpu-native reaches: Vulkan, Direct3D 12, Metal. */
  WGPU,
  /** SIMD on the CPU, in native code. */
  CPU,
  /** Plain Java on the CPU: needs no native library, always available. */
  JAVA;

  /**
   * The name in library files, system properties, options and device ids: {@code cuda}, {@code
   * cpu}.
   */
  public String id() {
    return name().toLowerCase(Locale.ROOT);
  }

  /**
   * The backend of that {@link #id()}, in any case.
   *
   * @throws IllegalArgumentException when there is none
   */
  public static BackendKind of(String id) {
    for (BackendKind kind : values()) {
      if (kind.name().equalsIgnoreCase(id)) {
        return kind;
      }
    }
    throw new IllegalArgumentException(
        "BackendKind.of: unknown backend [" + id + "], known are cuda, metal, wgpu, cpu and java");
  }
}
