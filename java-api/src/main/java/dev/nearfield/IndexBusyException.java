// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** The queue of the device stayed full for the longest wait allowed. */
public final class IndexBusyException extends VectorIndexException {
  private static final long serialVersionUID = 1;

  public IndexBusyException(String message) {
    super(ErrorCode.BUSY, message, null);
  }
}
