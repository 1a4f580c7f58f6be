// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.List;

/** No backend fits what was asked for. {@link #statuses()} says why, backend by backend. */
public final class BackendUnavailableException extends VectorIndexException {
  private static final long serialVersionUID = 1;

  private final transient List<BackendStatus> statuses;

  public BackendUnavailableException(String message, List<BackendStatus> statuses) {
    this(ErrorCode.BACKEND_UNAVAILABLE, message, statuses);
  }

  private BackendUnavailableException(
      ErrorCode code, String message, List<BackendStatus> statuses) {
    super(code, message, null);
    this.statuses = List.copyOf(statuses);
  }

  /** Of a device that is there, and lacks what was asked for. */
  public static BackendUnavailableException unsupported(String message) {
    return new BackendUnavailableException(ErrorCode.UNSUPPORTED, message, List.of());
  }

  /** The probe that led to this. */
  public List<BackendStatus> statuses() {
    return statuses;
  }
}
