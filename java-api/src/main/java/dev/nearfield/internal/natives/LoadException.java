// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.natives;

import dev.nearfield.BackendStatus;

/**
 * A native library, or the devices behind it, cannot be used. Ends as a {@link
 * BackendStatus.Unavailable}.
 */
public final class LoadException extends Exception {
  public static final String REINSTALL_HINT = "Rebuild or reinstall this library.";
  public static final String REPORT_HINT =
      "Report this together with the output of `nearfield devices`.";

  private static final long serialVersionUID = 1;

  private final BackendStatus.Reason reason;
  private final String hint;

  public LoadException(BackendStatus.Reason reason, String detail, String hint) {
    super(detail);
    this.reason = reason;
    this.hint = hint;
  }

  public BackendStatus.Reason reason() {
    return reason;
  }

  public String hint() {
    return hint;
  }
}
