// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** Why an index does not run on the device that its acceleration policy asks for first. */
public enum FallbackReason {
  /** No native library could be loaded: the plain-Java backend answers. */
  NO_NATIVE,
  /** No GPU was found: a CPU backend answers. */
  NO_DEVICE,
  /** The vectors do not fit the device or its budget. */
  MEMORY_BUDGET,
  /** The device was refused by its backend, or lost, when the index was made. */
  DEVICE_LOST,
  /** The device lacks what was asked for: codes for the metric. */
  UNSUPPORTED
}
