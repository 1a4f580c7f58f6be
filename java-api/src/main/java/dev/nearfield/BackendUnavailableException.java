// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.List;

/** No backend fits what was asked for. {@link #statuses()} says why, backend by backend. */
public final class BackendUnavailableException extends VectorIndexException {
  private static final long serialVersionUID = 1;

  private final transient List<BackendStatus> statuses;

  public BackendUnavailableException(String message, List<BackendStatus> statuses) {
    super(ErrorCode.BACKEND_UNAVAILABLE, message, null);
    this.statuses = List.copyOf(statuses);
  }

  /** The probe that led to this. */
  public List<BackendStatus> statuses() {
    return statuses;
  }
}
