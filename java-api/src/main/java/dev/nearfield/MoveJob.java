// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** A queued move to another device, which it holds until it has arrived there. */
final class MoveJob extends Change<Placement> {
  final Elsewhere.Destination to;
  private volatile boolean arrived;

  MoveJob(Elsewhere.Destination to) {
    super("retryAcceleration");
    this.to = to;
  }

  /** The index owns the destination now. Owner thread. */
  void arrived() {
    arrived = true;
    succeed(to.placement());
  }

  @Override
  void onEnd() {
    super.onEnd();
    if (!arrived) {
      to.giveUp();
    }
  }
}
