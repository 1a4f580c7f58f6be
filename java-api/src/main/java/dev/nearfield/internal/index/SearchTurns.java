// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.turn.Scratch;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Which searches go to the device next: neighbours in the mailbox together, slices of bulk searches
 * by turns, and none before its mask is right. In a turn.
 */
final class SearchTurns {
  private final Mailbox mailbox;
  private final Taken taken;
  private final Linger linger;
  private final Remasking remasking;
  private final BulkSearches bulks;

  SearchTurns(Mailbox mailbox, Taken taken, Linger linger, Runnable wake) {
    this.mailbox = mailbox;
    this.taken = taken;
    this.linger = linger;
    this.remasking = new Remasking(wake);
    this.bulks = new BulkSearches(mailbox);
  }

  /** Searches whose masks have been made go back to the mailbox. Before it is looked at. */
  void settle() {
    remasking.settle(mailbox);
  }

  boolean hasBulk() {
    return !bulks.isEmpty();
  }

  boolean isEmpty() {
    return bulks.isEmpty() && remasking.isEmpty();
  }

  /** Answers the next search of the mailbox, with those that go with it; a bulk search is begun. */
  void serve(SearchJob first, IndexState index, SearchWork searcher, Scratch scratch) {
    int limit = searcher.limit(first);
    List<SearchJob> jobs = taken.all(searcher.take(mailbox, first, limit));
    jobs.removeIf(job -> !remasking.admits(job, index) || !job.start());
    if (jobs.isEmpty()) {
      return;
    }
    if (jobs.size() == 1 && jobs.getFirst().queryCount() > limit) {
      bulks.add(jobs.getFirst());
      return;
    }
    long start = System.nanoTime();
    searcher.search(jobs, limit, scratch);
    linger.after(jobs.size(), start);
  }

  /** A slice of the bulk search whose turn it is; answers whether there was one. */
  boolean slice(IndexState index, SearchWork searcher, Scratch scratch) {
    @Nullable SearchJob due = bulks.next(job -> remasking.letsRun(job, index));
    if (due == null) {
      return false;
    }
    taken.next(due);
    searcher.search(List.of(due), searcher.limit(due), scratch);
    taken.served();
    bulks.forgetEnded();
    return true;
  }

  void failAll(Throwable cause) {
    bulks.failAll(cause);
    remasking.failAll(cause);
  }
}
