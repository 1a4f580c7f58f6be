// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** What kind of failure a {@link VectorIndexException} reports. */
public enum ErrorCode {
  /** {@link BackendUnavailableException}. */
  BACKEND_UNAVAILABLE,
  /** {@link DeviceOutOfMemoryException}. */
  DEVICE_OOM,
  /** {@link DeviceLostException}. */
  DEVICE_LOST,
  /** {@link IndexBusyException}. */
  BUSY,
  /** {@link SearchTimeoutException}. */
  TIMEOUT,
  /** {@link NativeCallException}. */
  NATIVE,
  /** {@link BackendUnavailableException}: a device is there, and lacks what was asked for. */
  UNSUPPORTED
}
