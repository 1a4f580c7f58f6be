// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * Searches of more queries than a device call takes. A slice of each is answered in turn, with
 * other requests in between; until they end they count as queued. In a turn.
 */
final class BulkSearches {
  /** Under way at a time: each of those has room for all of its answers. */
  private static final int ACTIVE = 8;

  private final Mailbox mailbox;
  private final ArrayDeque<SearchJob> active = new ArrayDeque<>();
  private final ArrayDeque<SearchJob> waiting = new ArrayDeque<>();

  BulkSearches(Mailbox mailbox) {
    this.mailbox = mailbox;
  }

  /** One that has left the mailbox. */
  void add(SearchJob job) {
    waiting.addLast(job);
    mailbox.hold();
  }

  boolean isEmpty() {
    return active.isEmpty() && waiting.isEmpty();
  }

  /** The search whose slice is due, of those that pass {@code ready}; null when there is none. */
  @Nullable SearchJob next(Predicate<SearchJob> ready) {
    forgetEnded();
    while (active.size() < ACTIVE && !waiting.isEmpty()) {
      active.addLast(waiting.removeFirst());
    }
    for (int i = active.size(); i > 0; i--) {
      SearchJob due = active.removeFirst();
      active.addLast(due);
      if (ready.test(due)) {
        return due;
      }
    }
    return null;
  }

  /** Those that ended, answered or given up, no longer count. */
  void forgetEnded() {
    forgetEnded(active);
    forgetEnded(waiting);
  }

  private void forgetEnded(ArrayDeque<SearchJob> jobs) {
    for (Iterator<SearchJob> each = jobs.iterator(); each.hasNext(); ) {
      if (each.next().ended()) {
        each.remove();
        mailbox.letGo();
      }
    }
  }

  void failAll(Throwable cause) {
    active.forEach(job -> job.fail(cause));
    waiting.forEach(job -> job.fail(cause));
    forgetEnded();
  }
}
