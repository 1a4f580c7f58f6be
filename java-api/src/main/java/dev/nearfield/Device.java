// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** A device that can hold vectors and search them. Immutable; equal when backend and id are. */
public interface Device {
  BackendKind backend();

  /**
   * Backend and number, as options take it: {@code wgpu:0}. Stable while the machine stays as it
   * is.
   */
  String id();

  /** As the driver names it: {@code NVIDIA H200}. */
  String name();

  /** Driver and version: {@code CUDA 13.0 / 580.159}. */
  String driver();

  /** Memory that vectors can use, in bytes; 0 when the driver does not tell. */
  long totalMemoryBytes();

  /**
   * A GPU interface that runs on the CPU, such as lavapipe or WARP, or an emulator. Ranks below
   * {@link BackendKind#CPU} and is used only when asked for by name.
   */
  boolean software();
}
