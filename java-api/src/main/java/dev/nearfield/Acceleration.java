// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** Whether an index may, must or must not use a GPU. */
public enum Acceleration {
  /** A GPU, or a {@link BackendUnavailableException}; never the CPU instead. */
  REQUIRED,
  /** A GPU when there is one, else the CPU; falling back is named in every result. */
  PREFERRED,
  /** The CPU, even when there is a GPU. */
  DISABLED
}
