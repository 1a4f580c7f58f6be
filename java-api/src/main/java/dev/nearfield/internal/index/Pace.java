// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

/**
 * How many queries a device call may take so that it lasts about a turn: from the time that calls
 * on this index took so far. Work is counted in queries times rows. In a turn.
 */
final class Pace {
  /**
   * So many queries are always allowed: calls of 64 to 128 cost no more a query than one of 1,024,
   * smaller ones do (docs/benchmarks.md, curves).
   */
  static final int LEAST_QUERIES = 64;

  /** The share of the newest call in the average: a slow minute is forgotten after ten calls. */
  private static final double SHARE = 0.25;

  private final long turnNanos;
  private double nanosPerQueryRow; // 0: unknown

  Pace(long turnNanos) {
    this.turnNanos = turnNanos;
  }

  /** How many queries over that many rows to take at once, {@code most} at most. */
  int queries(long rows, int most) {
    double fit =
        nanosPerQueryRow == 0 || rows == 0 ? 0 : turnNanos / (nanosPerQueryRow * (double) rows);
    return (int) Math.min(most, Math.max(LEAST_QUERIES, fit));
  }

  /** A call took so long. */
  void took(int queries, long rows, long nanos) {
    double units = (double) queries * rows;
    if (units == 0) {
      return;
    }
    double now = Math.max(nanos, 1) / units;
    if (nanosPerQueryRow == 0) {
      nanosPerQueryRow = now;
    } else if (queries >= LEAST_QUERIES || now < nanosPerQueryRow) { // few cost more each
      nanosPerQueryRow += SHARE * (now - nanosPerQueryRow);
    }
  }
}
