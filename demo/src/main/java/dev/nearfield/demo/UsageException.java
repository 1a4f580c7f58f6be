// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

/** The command line is wrong; the message is the one sentence that the user reads. */
final class UsageException extends RuntimeException {
  private static final long serialVersionUID = 1;

  UsageException(String message) {
    super(message);
  }
}
