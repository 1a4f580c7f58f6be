// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import java.util.Arrays;
import java.util.Map;

/** Nanoseconds of single calls. */
final class Timings {
  private final long[] nanos;

  Timings(long[] nanos) {
    this.nanos = nanos.clone();
    Arrays.sort(this.nanos);
  }

  /** The smallest time that the share {@code of} of all calls does not exceed, in seconds. */
  private double quantile(double of) {
    int rank = (int) Math.ceil(of * nanos.length);
    return nanos[Math.max(0, rank - 1)] / 1e9;
  }

  double median() {
    return quantile(0.5);
  }

  /** As a line of several in one reply. */
  void reportTo(Map<String, Object> reply, String line) {
    reply.put(line + ".count", nanos.length);
    reply.put(line + ".p50_s", quantile(0.5));
    reply.put(line + ".p99_s", quantile(0.99));
    reply.put(line + ".max_s", quantile(1));
  }

  void reportTo(Map<String, Object> reply) {
    reply.put("p50_s", quantile(0.5));
    reply.put("p90_s", quantile(0.9));
    reply.put("p99_s", quantile(0.99));
    reply.put("max_s", quantile(1));
  }
}
