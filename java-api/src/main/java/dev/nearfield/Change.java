// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/**
 * A change: once it runs, only the device knows whether it happened, so its caller waits for the
 * verdict.
 */
abstract class Change<T> extends Request<T> {
  Change(String operation) {
    super(operation, null);
  }

  @Override
  final boolean abandonable() {
    return false;
  }
}
