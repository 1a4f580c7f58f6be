// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.event;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.FallbackReason;
import dev.nearfield.IndexListener;
import dev.nearfield.Placement;
import dev.nearfield.internal.turn.Completer;
import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Makes a fallback heard: counted, logged once per reason, told to the listener. Any thread; never
 * waits.
 */
public final class FallbackReporter {
  private static final System.Logger LOG = System.getLogger(AcceleratedVectorIndex.class.getName());
  private static final ReentrantLock LOCK = new ReentrantLock();
  private static final Set<FallbackReason> WARNED = EnumSet.noneOf(FallbackReason.class);

  private final IndexCounters counters;
  private final Completer completer;
  private final @Nullable IndexListener listener;

  public FallbackReporter(
      IndexCounters counters, Completer completer, @Nullable IndexListener listener) {
    this.counters = counters;
    this.completer = completer;
    this.listener = listener;
  }

  public void fellBack(
      String operation, Placement now, FallbackReason reason, @Nullable Throwable cause) {
    counters.fellBack(reason);
    if (firstTime(reason)) {
      LOG.log(
          System.Logger.Level.WARNING,
          "{0}: on {1} because of {2}{3}; Accelerators.report() says what this machine offers",
          operation,
          now.device(),
          reason,
          cause == null ? "" : " (" + cause.getMessage() + ")");
    }
    IndexListener told = listener;
    if (told != null) {
      completer.run(() -> told.onFallback(operation, reason, cause));
    }
  }

  private static boolean firstTime(FallbackReason reason) {
    LOCK.lock();
    try {
      return WARNED.add(reason);
    } finally {
      LOCK.unlock();
    }
  }
}
