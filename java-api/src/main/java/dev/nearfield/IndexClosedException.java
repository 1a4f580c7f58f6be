// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** The index was closed before or during the call. */
public final class IndexClosedException extends IllegalStateException {
  private static final long serialVersionUID = 1;

  public IndexClosedException(String message) {
    super(message);
  }
}
