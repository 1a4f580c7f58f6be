// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** A native function failed in a way that no other exception names. */
public final class NativeCallException extends VectorIndexException {
  private static final long serialVersionUID = 1;

  private final int status;
  private final String function;

  public NativeCallException(int status, String function, String message) {
    super(ErrorCode.NATIVE, message, null);
    this.status = status;
    this.function = function;
  }

  /** The {@code nf_status} it returned. */
  public int status() {
    return status;
  }

  /** Its name in the C ABI: {@code nf_index_search}. */
  public String function() {
    return function;
  }
}
