// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import org.jspecify.annotations.Nullable;

/**
 * The environment failed a call that was itself correct. Mistakes of the caller are {@link
 * IllegalArgumentException}, {@link NullPointerException} and {@link IndexClosedException} instead.
 * The index is unharmed unless the subclass says otherwise.
 */
public class VectorIndexException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final ErrorCode code;

  public VectorIndexException(ErrorCode code, String message, @Nullable Throwable cause) {
    super(message, cause);
    this.code = code;
  }

  public ErrorCode code() {
    return code;
  }
}
