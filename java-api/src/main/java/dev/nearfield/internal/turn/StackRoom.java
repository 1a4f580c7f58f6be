// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

/**
 * Finds out that a thread's stack is nearly used up while nothing has been changed yet: a {@link
 * StackOverflowError} between two writes that belong together would leave a queue or a device in a
 * state that nobody repairs.
 */
public final class StackRoom {
  /**
   * Compiled, these take 16 KiB of an x86-64 stack and 0.9 us; interpreted, when what follows may
   * be as well, about 100 KiB. Enough for every kind of call, also for one that is interpreted
   * still; for native code the JVM keeps a reserve of its own.
   */
  private static final int LEVELS = 1024;

  private StackRoom() {}

  /** Throws StackOverflowError, harmlessly, unless the stack has room for what a call does. */
  public static void require() {
    touch(LEVELS);
  }

  // Not a loop to any compiler: the addition comes after the call.
  private static int touch(int level) {
    return level == 0 ? 0 : touch(level - 1) + 1;
  }
}
