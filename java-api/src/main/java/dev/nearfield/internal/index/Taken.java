// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.internal.turn.Request;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The requests that a turn on the owner thread is about to take from the mailbox or has taken, and
 * has not handed on: those that would never end should the turn fail. In a turn.
 */
final class Taken {
  private final Mailbox mailbox;
  private @Nullable Request<?> first;
  private List<? extends Request<?>> all = List.of();
  private @Nullable Throwable failure;

  Taken(Mailbox mailbox) {
    this.mailbox = mailbox;
  }

  /** To be served next; it may be in the mailbox. */
  void next(Request<?> request) {
    first = request;
  }

  <R extends Request<?>> List<R> all(List<R> requests) {
    all = requests;
    return requests;
  }

  /** Each has ended or waits elsewhere. */
  void served() {
    first = null;
    all = List.of();
    failure = null;
  }

  /**
   * Ends them, so that no later turn fails of the same. When there is no memory even for that,
   * {@link #failLeft()} goes on in the next turn.
   */
  void fail(Throwable cause) {
    failure = cause;
    failLeft();
  }

  /** Ends what the failure of an earlier turn has left. */
  void failLeft() {
    Throwable cause = failure;
    if (cause == null) {
      return;
    }
    Request<?> head = first;
    if (head != null) {
      head.fail(cause);
      mailbox.remove(head);
    }
    all.forEach(request -> request.fail(cause));
    served();
  }
}
