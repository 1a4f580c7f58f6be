// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

/**
 * Finds out that a thread's stack is nearly used up while nothing has been changed yet: a {@link
 * StackOverflowError} between two writes that belong together would leave a queue or a device in a
 * state that nobody repairs.
 */
public final class StackRoom {
  /**
   * Compiled, these take 8 KiB of an x86-64 stack and 0.4 us; interpreted, when what follows may be
   * as well, about 50 KiB. Measured with calls in the last frames, compiled, interpreted and into a
   * native library: with 64 levels, or none, a device hangs for good within a few runs; with 256
   * some calls still overflow in the middle of their work; with these none does. For native code
   * the JVM keeps a reserve of its own.
   */
  private static final int LEVELS = 512;

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
