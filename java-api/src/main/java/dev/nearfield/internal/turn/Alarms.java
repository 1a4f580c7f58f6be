// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import java.util.concurrent.Future;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * Time-outs of what no thread waits for. The one of {@link java.util.concurrent.CompletableFuture}
 * is not used: before Java 25 its thread keeps what it inherits from the first caller.
 */
final class Alarms {
  /** A thread that is needed again soon is not worth ending. */
  private static final long KEEP_SECONDS = 10;

  /** Long against a collection, which may find the memory that an action lacked. */
  private static final long AGAIN_NANOS = 1_000_000_000;

  private static final System.Logger LOG = System.getLogger(Alarms.class.getName());

  private static final ScheduledThreadPoolExecutor CLOCK = clock();

  private Alarms() {}

  private static ScheduledThreadPoolExecutor clock() {
    ScheduledThreadPoolExecutor clock =
        new ScheduledThreadPoolExecutor(1, task -> Threads.daemon("nearfield-alarms", task));
    clock.setRemoveOnCancelPolicy(true); // most are cancelled long before their time
    clock.setKeepAliveTime(KEEP_SECONDS, TimeUnit.SECONDS);
    clock.allowCoreThreadTimeOut(true);
    return clock;
  }

  /**
   * Runs a brief action after that time and then again and again, as it may fail, until the answer
   * is cancelled.
   */
  static Future<?> after(long nanos, Runnable action) {
    return CLOCK.scheduleWithFixedDelay(
        () -> {
          try {
            action.run();
          } catch (RuntimeException | Error e) {
            log(e);
          }
        },
        nanos,
        AGAIN_NANOS,
        TimeUnit.NANOSECONDS);
  }

  /** For tests: how many are set. */
  static int pending() {
    return CLOCK.getQueue().size();
  }

  private static void log(Throwable failure) {
    try {
      LOG.log(System.Logger.Level.WARNING, "a time-out could not be told yet", failure);
    } catch (RuntimeException | Error e) {
      failure.addSuppressed(e); // no memory for that either
    }
  }
}
