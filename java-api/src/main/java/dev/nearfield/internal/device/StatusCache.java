// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.device;

import dev.nearfield.BackendKind;
import dev.nearfield.BackendStatus;
import dev.nearfield.BackendStatus.Available;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import java.util.function.LongSupplier;

/**
 * What a look at each backend found: for good when it is there, and for a while when it is not,
 * unless the settings change meanwhile.
 */
final class StatusCache {
  /**
   * How long a failure is believed. A look costs 1 to 3 ms of each of the backends that are not
   * there, and a library or a device that somebody has just installed may wait as long as this.
   */
  static final long FAILURE_NANOS = 10_000_000_000L;

  private record Look(BackendStatus status, Object settings, long atNanos) {}

  private final Function<BackendKind, BackendStatus> look;
  private final Function<BackendKind, ?> settings;
  private final LongSupplier clock;
  private final Map<BackendKind, Look> looks = new ConcurrentHashMap<>();

  /**
   * @param settings what a look depends on, and may change between two calls
   * @param clock nanoseconds since whenever
   */
  StatusCache(
      Function<BackendKind, BackendStatus> look,
      Function<BackendKind, ?> settings,
      LongSupplier clock) {
    this.look = look;
    this.settings = settings;
    this.clock = clock;
  }

  BackendStatus get(BackendKind kind) {
    Object now = settings.apply(kind);
    Look last = looks.get(kind);
    if (last != null && good(last, now)) {
      return last.status;
    }
    Look fresh = new Look(look.apply(kind), now, clock.getAsLong());
    looks.merge(kind, fresh, (other, mine) -> other.status instanceof Available ? other : mine);
    return fresh.status;
  }

  private boolean good(Look last, Object now) {
    return last.status instanceof Available
        || last.settings.equals(now) && clock.getAsLong() - last.atNanos < FAILURE_NANOS;
  }

  void forget(BackendKind kind) {
    looks.remove(kind);
  }

  void forgetFailures() {
    looks.values().removeIf(last -> !(last.status instanceof Available));
  }
}
