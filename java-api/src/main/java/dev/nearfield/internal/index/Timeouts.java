// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import java.time.Duration;

/** What a time-out may be. */
final class Timeouts {
  private Timeouts() {}

  static Duration positive(String operation, Duration timeout) {
    if (timeout.isNegative() || timeout.isZero()) {
      throw new IllegalArgumentException(
          operation + ": [" + timeout + "], a time-out must be positive");
    }
    return timeout;
  }
}
