// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/**
 * The device is gone: reset, unplugged or failed. Indexes on it answer nothing any more. One that
 * is built from now on opens the device anew.
 */
public final class DeviceLostException extends VectorIndexException {
  private static final long serialVersionUID = 1;

  public DeviceLostException(String message) {
    super(ErrorCode.DEVICE_LOST, message, null);
  }
}
