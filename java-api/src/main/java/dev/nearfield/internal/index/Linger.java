// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

/**
 * The wait after a batch of several searches for as many again: closed-loop clients come back
 * together if one waits for them a little; otherwise they settle into batches of 1, n, 1, n.
 */
final class Linger {
  /** The share of the batch's duration to wait (1 / this). */
  private static final int SHARE = 20;

  /**
   * Shorter waits are not worth it: parking and waking a thread takes 20 to 100 us of a core, which
   * at cheap searches was 30 to 60% of its time (issue 11).
   */
  private static final long LEAST_NANOS = 100_000;

  private final long maxNanos;
  private int expected; // 0: no wait
  private long until;

  Linger(long maxNanos) {
    this.maxNanos = maxNanos;
  }

  void after(int searches, long startNanos) {
    if (searches > 1) {
      long end = System.nanoTime();
      long wait = Math.min((end - startNanos) / SHARE, maxNanos);
      if (wait >= LEAST_NANOS) {
        expected = searches;
        until = end + wait;
      }
    }
  }

  boolean isOn() {
    return expected > 0;
  }

  /** Whether to wait on while so many requests are queued. */
  boolean wants(int queued) {
    return expected > queued && leftNanos() > 0;
  }

  /** Nanoseconds until the end of the wait; 0 without one. */
  long leftNanos() {
    return expected == 0 ? 0 : Math.max(0, until - System.nanoTime());
  }

  void end() {
    expected = 0;
  }
}
