// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

/**
 * Finds out that a thread's stack is nearly used up while nothing has been changed yet: a {@link
 * StackOverflowError} between two writes that belong together would leave a queue or a device in a
 * state that nobody repairs.
 */
public final class StackRoom {
  /**
   * Compiled, these take 9 KiB of an x86-64 stack; interpreted, when what follows may be as well,
   * more. Measured with calls in the last frames, compiled, interpreted and into a native library:
   * with 1 KiB, or none, a device hangs for good within a few runs; with 4 KiB some calls still
   * overflow in the middle of their work; with 8 KiB none does. For native code the JVM keeps a
   * reserve of its own.
   */
  private static final int LEVELS = 72;

  private StackRoom() {}

  /** Throws StackOverflowError, harmlessly, unless the stack has room for what a call does. */
  public static void require() {
    touch(LEVELS, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
  }

  // Not a loop to any compiler: the addition comes after the call. And a few large frames instead
  // of many small ones, which took 0.4 us: what is needed after the call has a place in the frame.
  private static long touch(
      int level, long a, long b, long c, long d, long e, long f, long g, long h, long i, long j) {
    return level == 0
        ? a
        : touch(level - 1, a, b, c, d, e, f, g, h, i, j) + (a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j);
  }
}
