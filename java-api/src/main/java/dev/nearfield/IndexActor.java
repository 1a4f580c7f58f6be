// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;

/**
 * Decides what an index does next: requests in the order of its mailbox, neighbours of a kind
 * together, and in between a slice of its long work (a large insert or a compaction, one at a
 * time). Everything here runs on the owner thread except where a method says otherwise.
 */
final class IndexActor implements DeviceOwner.Turn {
  private static final System.Logger LOG = System.getLogger(IndexActor.class.getName());

  /** Fewer dead rows than this never start a compaction: scanning them costs less than one. */
  private static final int MIN_DEAD = 1024;

  /**
   * After a batch of several searches, the share of its duration to wait for as many again (1 /
   * this).
   */
  private static final int LINGER_SHARE = 20;

  private final IndexConfig config;
  private final Mailbox mailbox;
  private final IndexCounters counters;
  private final SlotTable slots;
  private final CancelWord cancel = new CancelWord();
  private final DeviceOwner.Seat seat;
  private final CountDownLatch ended = new CountDownLatch(1);
  private volatile boolean draining;
  private volatile boolean closing;

  private @Nullable IndexState state;
  private @Nullable IndexWork work;
  private final ArrayDeque<InsertJob> inserts = new ArrayDeque<>();
  private final List<Jobs.Compact> compactAsked = new ArrayList<>();
  private final List<Jobs.Compact> compactRunning = new ArrayList<>();
  private @Nullable SearchJob sliced;
  private int autoCompactFrom = MIN_DEAD;
  private int lingerFor;
  private long lingerUntil;

  IndexActor(
      IndexConfig config,
      DeviceOwner owner,
      Mailbox mailbox,
      IndexCounters counters,
      SlotTable slots) {
    this.config = config;
    this.mailbox = mailbox;
    this.counters = counters;
    this.slots = slots;
    this.seat = owner.seat(this);
  }

  /**
   * Makes the index on the device. To be called once, on the owner thread, before anything else.
   */
  void begin(Engine engine, Optional<FallbackReason> fallback) {
    IndexState made = new IndexState(engine, config.options(), config.budgetBytes(), slots);
    state = made;
    work = new IndexWork(made, counters, cancel, engine.device(), fallback);
  }

  /** There is something new to do. Any thread. */
  void wake() {
    seat.ready();
  }

  /**
   * Ends as soon as what is queued has been done. The mailbox must refuse new requests by now. Any
   * thread.
   */
  void drain() {
    draining = true;
    wake();
  }

  /**
   * Ends after the step that is running; all other work fails. The mailbox must refuse new requests
   * by now. Any thread.
   */
  void close() {
    closing = true;
    wake();
  }

  /** Counted down when everything is closed. */
  CountDownLatch ended() {
    return ended;
  }

  @Override
  public long run(Engine engine, Scratch scratch, long untilNanos) {
    IndexState index = state;
    IndexWork worker = work;
    if (index == null || worker == null || ended.getCount() == 0) {
      return DeviceOwner.IDLE;
    }
    while (true) {
      DeviceLostException lost = worker.lost();
      if (lost != null) {
        failAll(worker, lost);
      }
      if (closing) {
        end(worker, index);
        return DeviceOwner.IDLE;
      }
      boolean worked = serveMailbox(index, worker, scratch);
      worked |= longWork(index, worker, scratch);
      if (!worked) {
        long linger = lingerFor == 0 ? 0 : lingerUntil - System.nanoTime();
        if (linger > 0) {
          return linger;
        }
        if (draining && mailbox.size() == 0 && inserts.isEmpty()) {
          closing = true;
          continue;
        }
        if (lingerFor == 0) {
          return DeviceOwner.IDLE;
        }
        lingerFor = 0;
      } else if (System.nanoTime() - untilNanos >= 0) {
        return DeviceOwner.AGAIN;
      }
    }
  }

  // ---- the mailbox

  private boolean serveMailbox(IndexState index, IndexWork worker, Scratch scratch) {
    SearchJob current = sliced;
    if (current != null) {
      searchSlice(current, worker, scratch);
      return true;
    }
    Request<?> next = mailbox.peek();
    if (next == null || lingers(next)) {
      return false;
    }
    lingerFor = 0;
    switch (next) {
      case SearchJob first -> searches(first, worker, scratch);
      case Jobs.Add first -> worker.add(adds(index.dim()), scratch);
      case InsertJob insert -> {
        if (mailbox.poll() instanceof InsertJob taken && taken.start()) {
          inserts.add(taken);
        }
      }
      case Jobs.Compact compact -> {
        if (mailbox.poll() instanceof Jobs.Compact taken && taken.start()) {
          compactAsked.add(taken);
        }
      }
      default -> {
        Request<?> taken = mailbox.poll();
        if (taken != null) {
          worker.single(taken, scratch);
        }
      }
    }
    return true;
  }

  /**
   * Closed-loop clients come back together if one waits for them a little; otherwise they settle
   * into batches of 1, n, 1, n.
   */
  private boolean lingers(Request<?> next) {
    return lingerFor > 0
        && next instanceof SearchJob
        && mailbox.size() < lingerFor
        && System.nanoTime() - lingerUntil < 0;
  }

  private void searches(SearchJob first, IndexWork worker, Scratch scratch) {
    int k = first.request.topK();
    int limit = SearchBatch.queryLimit(config.maxBatch(), k);
    int kClass = SearchBatch.kClass(k);
    int[] room = {limit};
    List<SearchJob> jobs =
        mailbox.takeRun(
            SearchJob.class,
            job -> {
              boolean fits = job == first || job.queryCount() <= room[0];
              if (fits && SearchBatch.kClass(job.request.topK()) == kClass) {
                room[0] -= job.queryCount();
                return true;
              }
              return false;
            });
    jobs.removeIf(job -> !job.start());
    if (jobs.isEmpty()) {
      return;
    }
    if (jobs.size() == 1 && jobs.getFirst().queryCount() > limit) {
      sliced = jobs.getFirst();
      searchSlice(jobs.getFirst(), worker, scratch);
      return;
    }
    long start = System.nanoTime();
    worker.search(jobs, config.maxBatch(), scratch);
    if (jobs.size() > 1) {
      long end = System.nanoTime();
      lingerFor = jobs.size();
      lingerUntil = end + Math.min((end - start) / LINGER_SHARE, config.maxLingerNanos());
    }
  }

  private void searchSlice(SearchJob job, IndexWork worker, Scratch scratch) {
    if (!job.ended()) {
      worker.search(
          List.of(job), SearchBatch.queryLimit(config.maxBatch(), job.request.topK()), scratch);
    }
    if (job.ended()) {
      sliced = null;
    }
  }

  private List<Jobs.Add> adds(int dim) {
    int[] room = {InsertJob.chunkRows(dim)};
    return mailbox.takeRun(
        Jobs.Add.class,
        job -> {
          boolean fits = job.count <= room[0] && room[0] > 0;
          room[0] =
              fits
                  ? room[0] - job.count
                  : 0; // in order: nothing overtakes an insert that does not fit
          return fits;
        });
  }

  // ---- long work

  private boolean longWork(IndexState index, IndexWork worker, Scratch scratch) {
    if (index
        .compacting()) { // a hidden row is dead to the device, so an insert and a compaction never
      // overlap
      compactSlice(worker);
      return true;
    }
    InsertJob insert = inserts.peek();
    if (insert != null) {
      boolean worked = worker.insertStep(insert, sliced == null, scratch);
      if (insert.ended()) {
        inserts.remove();
      }
      return worked;
    }
    compactAsked.removeIf(Request::ended);
    if (!compactAsked.isEmpty() || wantsCompaction(index)) {
      compactRunning.addAll(compactAsked);
      compactAsked.clear();
      compactSlice(worker);
      return true;
    }
    return false;
  }

  private boolean wantsCompaction(IndexState index) {
    int dead = index.dead();
    return config.deadRatio() < 1
        && dead >= autoCompactFrom
        && dead >= config.deadRatio() * ((double) dead + index.live());
  }

  private void compactSlice(IndexWork worker) {
    Object outcome = worker.compactStep(DeviceOwner.TURN_NANOS);
    switch (outcome) {
      case null -> {
        return;
      }
      case CompactionReport report -> {
        autoCompactFrom = MIN_DEAD;
        compactRunning.forEach(job -> job.succeed(report));
      }
      default -> {
        Throwable cause = (Throwable) outcome;
        IndexState index = state;
        if (index != null) { // do not try again at once: not before twice as much could be gained
          autoCompactFrom =
              (int) Math.min(Integer.MAX_VALUE, Math.max(MIN_DEAD, 2L * index.dead()));
        }
        if (compactRunning.isEmpty()) {
          LOG.log(
              System.Logger.Level.WARNING, "automatic compaction failed: " + cause.getMessage());
        }
        compactRunning.forEach(job -> job.fail(cause));
      }
    }
    compactRunning.clear();
  }

  // ---- the end

  private void failAll(IndexWork worker, RuntimeException cause) {
    for (Request<?> job : mailbox.drain()) {
      job.fail(cause);
    }
    SearchJob current = sliced;
    if (current != null) {
      current.fail(cause);
      sliced = null;
    }
    inserts.forEach(job -> job.fail(cause));
    inserts.clear();
    compactAsked.forEach(job -> job.fail(cause));
    compactRunning.forEach(job -> job.fail(cause));
    compactAsked.clear();
    compactRunning.clear();
    lingerFor = 0;
  }

  private void end(IndexWork worker, IndexState index) {
    failAll(
        worker,
        new IndexClosedException("close: the index was closed before this request was done"));
    try {
      index.close();
    } catch (RuntimeException | Error e) {
      LOG.log(System.Logger.Level.WARNING, "closing an index failed", e);
    } finally {
      cancel.close();
      state = null;
      work = null;
      ended.countDown();
    }
  }
}
