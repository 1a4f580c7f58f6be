// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

/**
 * How many queries a device call may take so that it lasts about a turn: from the time that calls
 * on this index took so far. Work is counted in queries times rows. In a turn.
 */
final class Pace {
  /**
   * So many queries are always allowed. A call reads all rows once: over 200,000 x 128 on two cores
   * a query costs 12% more in calls of 64 than in one of 8,192, 9% in calls of 72, 4% in calls of
   * 96. But others wait for a call: they take 17, 19 and 25 ms, and beside calls of 64 the p99 of a
   * single search was 23 ms, of the 30 that it may be. 84 fills the CPU's panels of 12 or 6
   * queries.
   */
  static final int LEAST_QUERIES = 84;

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
