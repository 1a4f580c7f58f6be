// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** The call was not finished within its time-out, counted from submission. */
public final class SearchTimeoutException extends VectorIndexException {
  private static final long serialVersionUID = 1;

  public SearchTimeoutException(String message) {
    super(ErrorCode.TIMEOUT, message, null);
  }
}
