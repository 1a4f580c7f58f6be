// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/**
 * A native library, or the devices behind it, cannot be used. Ends as a {@link
 * BackendStatus.Unavailable}.
 */
final class LoadException extends Exception {
  static final String REINSTALL_HINT = "Rebuild or reinstall this library.";
  static final String REPORT_HINT = "Report this together with the output of `nearfield devices`.";

  private static final long serialVersionUID = 1;

  private final BackendStatus.Reason reason;
  private final String hint;

  LoadException(BackendStatus.Reason reason, String detail, String hint) {
    super(detail);
    this.reason = reason;
    this.hint = hint;
  }

  BackendStatus.Reason reason() {
    return reason;
  }

  String hint() {
    return hint;
  }
}
