// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * A change: once it runs, only the device knows whether it happened, so its caller waits for the
 * verdict.
 */
public abstract class Change<T> extends Request<T> {
  private @Nullable Runnable wake;

  public Change(String operation, @Nullable Duration timeout) {
    super(operation, timeout);
  }

  protected Change(String operation, @Nullable Duration timeout, long submitted) {
    super(operation, timeout, submitted);
  }

  /**
   * {@code wake}: there is something new to do, such as that its caller wants it stopped. Before it
   * is queued.
   */
  public final void onNews(Runnable wake) {
    this.wake = wake;
  }

  @Override
  protected final boolean abandonable() {
    return false;
  }

  @Override
  protected final void onCancelRequested() {
    wake();
  }

  /** Tells whoever serves it. */
  protected final void wake() {
    Runnable told = wake;
    if (told != null) {
      told.run();
    }
  }
}
