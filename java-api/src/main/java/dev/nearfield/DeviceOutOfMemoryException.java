// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** The device, or the budget given to an index, has no room for what was asked. All in bytes. */
public final class DeviceOutOfMemoryException extends VectorIndexException {
  private static final long serialVersionUID = 1;

  private final long requested;
  private final long free;
  private final long total;

  public DeviceOutOfMemoryException(String message, long requested, long free, long total) {
    super(ErrorCode.DEVICE_OOM, message, null);
    this.requested = requested;
    this.free = free;
    this.total = total;
  }

  /** What the operation needed, or -1 when only the device knows. */
  public long requested() {
    return requested;
  }

  /** What was free at that moment, or -1 when the device cannot tell. */
  public long free() {
    return free;
  }

  /** What the device or the budget holds in all, or -1 when unknown. */
  public long total() {
    return total;
  }
}
