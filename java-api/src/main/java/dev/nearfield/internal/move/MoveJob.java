// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.move;

import dev.nearfield.Placement;
import dev.nearfield.internal.turn.Change;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/** A queued move to another device, which it holds until it has arrived there. */
public final class MoveJob extends Change<Placement> {
  final Elsewhere.Destination to;
  private final AtomicBoolean held = new AtomicBoolean(true); // the destination is this job's

  /** {@code submitted}: System.nanoTime() of the call, before the destination was looked for. */
  public MoveJob(Elsewhere.Destination to, @Nullable Duration timeout, long submitted) {
    super("retryAcceleration", timeout, submitted);
    this.to = to;
  }

  /** The index owns the destination now. Owner thread. */
  void arrived(Placement now) {
    held.set(false);
    succeed(now);
  }

  @Override
  protected void onEnd() {
    super.onEnd();
    if (held.compareAndSet(true, false)) {
      to.giveUp();
    }
  }
}
