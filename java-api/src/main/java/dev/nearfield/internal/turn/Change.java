// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

/**
 * A change: once it runs, only the device knows whether it happened, so its caller waits for the
 * verdict.
 */
public abstract class Change<T> extends Request<T> {
  public Change(String operation) {
    super(operation, null);
  }

  @Override
  protected final boolean abandonable() {
    return false;
  }
}
