// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.Device;
import dev.nearfield.FallbackReason;
import dev.nearfield.Metric;
import dev.nearfield.Placement;
import dev.nearfield.internal.engine.Engine.CallControl;
import dev.nearfield.internal.event.IndexCounters;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.turn.CancelWord;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.Scratch;
import java.util.List;
import java.util.Optional;

/** Does the searches of one index against its state and ends them, whatever happens. In a turn. */
final class SearchWork {
  /**
   * A device call from which on one looks how many bytes it read: asking takes about a microsecond.
   */
  private static final long LOOK_NANOS = 50_000;

  private final IndexConfig config;
  private final IndexState state;
  private final IndexWork work;
  private final IndexCounters counters;
  private final CancelWord cancel;
  private final Metric metric;
  private final Device device;
  private final Optional<FallbackReason> fallback;
  private final Pace pace = new Pace(DeviceOwner.TURN_NANOS);
  private final Pace listPace = new Pace(DeviceOwner.TURN_NANOS); // of searches in lists

  SearchWork(
      IndexConfig config,
      IndexState state,
      IndexWork work,
      IndexCounters counters,
      CancelWord cancel,
      Placement placement) {
    this.config = config;
    this.state = state;
    this.work = work;
    this.counters = counters;
    this.cancel = cancel;
    this.metric = config.metric();
    this.device = placement.device();
    this.fallback = placement.fallback();
  }

  /** How many queries a device call takes that begins with this search. */
  int limit(SearchJob first) {
    int k = Math.max(SearchBatch.k(first, state), first.stride());
    return pace(first)
        .queries(SearchBatch.rows(first, state), SearchBatch.queryLimit(config.maxBatch(), k));
  }

  /** A row costs otherwise where a query skips most of them. */
  private Pace pace(SearchJob job) {
    return SearchBatch.inLists(job, state) ? listPace : pace;
  }

  /** Takes the next search from the mailbox and those that go with it, {@code limit} queries. */
  List<SearchJob> take(Mailbox mailbox, SearchJob first, int limit) {
    return SearchBatch.take(mailbox, first, state, limit);
  }

  /**
   * One device call for the next queries of each job, at most {@code limit} each; jobs that are
   * complete then are ended. The call may take as long as the most patient of them allows.
   */
  void search(List<SearchJob> jobs, int limit, Scratch scratch) {
    try {
      CancelWord.Batch batch = cancel.arm();
      long patience = 0;
      for (SearchJob job : jobs) {
        job.join(batch);
        patience = Math.max(patience, job.remainingNanos());
      }
      batch.gathered();
      call(jobs, limit, scratch, work.control(patience));
    } catch (RuntimeException | Error e) {
      Throwable told = work.failed("search", e);
      jobs.forEach(job -> job.fail(told));
    } finally {
      cancel.disarm();
    }
  }

  /** The same for one brief search of the calling thread, whom nobody can tell to stop. */
  void brief(SearchJob job, Scratch scratch) {
    try {
      call(List.of(job), job.queryCount(), scratch, work.control(job.remainingNanos()));
    } catch (RuntimeException | Error e) {
      job.fail(work.failed("search", e));
    }
  }

  private void call(List<SearchJob> jobs, int limit, Scratch scratch, CallControl control) {
    if (state.live() == 0) {
      int queries = 0;
      for (SearchJob job : jobs) {
        queries += job.ended() ? 0 : job.queryCount() - job.answered();
      }
      boolean proven = !state.options().codesAlone();
      counters.searched(queries, proven ? queries : 0, 0, 0);
      for (SearchJob job : jobs) {
        if (SearchBatch.fits(job, state)) {
          job.succeed(job.empty(metric, device, fallback, proven));
        }
      }
      return;
    }
    long rows = 0;
    for (SearchJob job : jobs) {
      rows = Math.max(rows, SearchBatch.rows(job, state));
    }
    long start = System.nanoTime();
    SearchBatch.Answers answers = SearchBatch.run(state, jobs, limit, scratch, control);
    int asked = answers.asked();
    long took = System.nanoTime() - start;
    pace(jobs.getFirst()).took(asked, rows, took);
    long hits = (long) asked * jobs.getFirst().stride();
    if (counters.searched(asked, answers.certified(), 1, hits)
        || state.options().coded() && took >= LOOK_NANOS) {
      work.publish();
    }
    for (SearchJob job : jobs) {
      if (!job.ended() && job.answered() == job.queryCount()) {
        job.succeed(job.result(metric, device, fallback));
      }
    }
  }
}
