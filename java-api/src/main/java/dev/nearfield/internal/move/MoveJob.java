// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.move;

import dev.nearfield.Placement;
import dev.nearfield.internal.turn.Change;

/** A queued move to another device, which it holds until it has arrived there. */
public final class MoveJob extends Change<Placement> {
  final Elsewhere.Destination to;
  private volatile boolean arrived;

  public MoveJob(Elsewhere.Destination to) {
    super("retryAcceleration", null);
    this.to = to;
  }

  /** The index owns the destination now. Owner thread. */
  void arrived() {
    arrived = true;
    succeed(to.placement());
  }

  @Override
  protected void onEnd() {
    super.onEnd();
    if (!arrived) {
      to.giveUp();
    }
  }
}
