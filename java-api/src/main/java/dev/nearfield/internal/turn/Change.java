// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * A change: once it runs, only the device knows whether it happened, so its caller waits for the
 * verdict.
 */
public abstract class Change<T> extends Request<T> {
  public Change(String operation, @Nullable Duration timeout) {
    super(operation, timeout);
  }

  protected Change(String operation, @Nullable Duration timeout, long submitted) {
    super(operation, timeout, submitted);
  }

  @Override
  protected final boolean abandonable() {
    return false;
  }
}
