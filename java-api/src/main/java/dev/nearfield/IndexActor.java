// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.ArrayDeque;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;

/**
 * Decides what an index does next: requests in the order of its mailbox, neighbours of a kind
 * together, and in between a slice of its long work (a large insert, a compaction or a move, one at
 * a time). Everything here runs on the owner thread of the device the index is on, except where a
 * method says otherwise.
 */
final class IndexActor implements DeviceOwner.Turn {
  private static final System.Logger LOG = System.getLogger(IndexActor.class.getName());

  /**
   * After a batch of several searches, the share of its duration to wait for as many again (1 /
   * this).
   */
  private static final int LINGER_SHARE = 20;

  private final IndexConfig config;
  private final Mailbox mailbox;
  private final IndexCounters counters;
  private final CancelWord cancel = new CancelWord();
  private final CountDownLatch ended = new CountDownLatch(1);
  private volatile boolean draining;
  private volatile boolean closing;
  private volatile @Nullable IndexHome home; // null before begin()

  private @Nullable IndexState state; // this and `work`: null before begin() and after the end
  private @Nullable IndexWork work;
  private final Compactor compactor;
  private final Relocation relocation;
  private final ArrayDeque<InsertJob> inserts = new ArrayDeque<>();
  private @Nullable SearchJob sliced;
  private int lingerFor;
  private long lingerUntil;

  IndexActor(
      IndexConfig config,
      Mailbox mailbox,
      IndexCounters counters,
      Elsewhere elsewhere,
      FallbackReporter reporter) {
    this.config = config;
    this.mailbox = mailbox;
    this.counters = counters;
    this.compactor = new Compactor(config.deadRatio());
    this.relocation = new Relocation(elsewhere, reporter, this::wake, this::noInsertBegun);
  }

  /**
   * Makes the index on the device. To be called once, on the owner thread, before anything else.
   */
  void begin(DeviceOwner owner, Engine engine, Placement placement, SlotTable slots) {
    settle(
        new IndexHome(owner, engine, owner.seat(this), placement),
        new IndexState(engine, config.options(), config.budgetBytes(), slots));
  }

  /** {@link #begin} failed or will never be called. */
  void notBegun() {
    cancel.close();
  }

  private void settle(IndexHome at, IndexState index) {
    state = index;
    work = new IndexWork(index, counters, cancel, at.placement(), relocation);
    home = at; // last: it hands everything above to the owner thread there
  }

  /** Where the index is. Any thread, after {@link #begin}. */
  IndexHome home() {
    IndexHome now = home;
    if (now == null) {
      throw new IllegalStateException("the index has not begun");
    }
    return now;
  }

  /** There is something new to do. Any thread. */
  void wake() {
    IndexHome woken;
    do { // an index that moves away meanwhile is woken again where it is then
      woken = home();
      woken.seat().ready();
    } while (home() != woken);
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
    IndexHome here = home;
    if (here == null || here.engine() != engine) {
      return DeviceOwner.IDLE; // woken where it no longer is
    }
    while (true) {
      IndexState index = state;
      IndexWork worker = work;
      if (index == null || worker == null) {
        return DeviceOwner.IDLE;
      }
      DeviceLostException lost = worker.lost();
      if (relocation.busy()) {
        Throwable stop = lost == null && closing ? closed() : lost;
        if (relocation.step(here, index, stop, scratch)) {
          arrive(here, index);
          return DeviceOwner.IDLE; // everything here is the new owner thread's by now
        }
        if (relocation.busy()) {
          return DeviceOwner.IDLE;
        }
      }
      if (lost != null) {
        failAll(lost);
      }
      if (closing || lost != null && draining) {
        end(index);
        return DeviceOwner.IDLE;
      }
      if (lost != null) {
        return DeviceOwner.IDLE; // what has been queued since comes with a wake of its own
      }
      if (relocation.hasParked()) {
        resume(worker, scratch);
      }
      boolean worked = serveMailbox(index, worker, scratch);
      worked |= longWork(here, index, worker, scratch);
      if (!worked) {
        long linger = lingerFor == 0 ? 0 : lingerUntil - System.nanoTime();
        if (linger > 0) {
          return linger;
        }
        if (draining && mailbox.size() == 0 && inserts.isEmpty() && !relocation.busy()) {
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
      searchSlice(current, index, worker, scratch);
      return true;
    }
    Request<?> next = mailbox.peek();
    if (next == null || lingers(next)) {
      return false;
    }
    lingerFor = 0;
    switch (next) {
      case SearchJob first -> searches(first, index, worker, scratch);
      case Jobs.Add first -> worker.add(adds(index.dim()), scratch);
      default -> {
        if (mailbox.take(next)) {
          serve(next, worker, scratch);
        }
      }
    }
    return true;
  }

  private void serve(Request<?> taken, IndexWork worker, Scratch scratch) {
    switch (taken) {
      case InsertJob insert -> {
        if (insert.start()) {
          inserts.add(insert);
        }
      }
      case Jobs.Compact compact -> {
        if (compact.start()) {
          compactor.ask(compact);
        }
      }
      case MoveJob move -> {
        if (move.start()) {
          relocation.ask(move);
        }
      }
      default -> worker.single(taken, scratch);
    }
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

  private void searches(SearchJob first, IndexState index, IndexWork worker, Scratch scratch) {
    int k = SearchBatch.k(first, index);
    int limit = SearchBatch.queryLimit(config.maxBatch(), k);
    int kClass = SearchBatch.kClass(k);
    int[] room = {limit};
    List<SearchJob> jobs =
        mailbox.takeRun(
            SearchJob.class,
            job -> {
              boolean fits = job == first || job.queryCount() <= room[0];
              if (fits && SearchBatch.kClass(SearchBatch.k(job, index)) == kClass) {
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
      searchSlice(jobs.getFirst(), index, worker, scratch);
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

  private void searchSlice(SearchJob job, IndexState index, IndexWork worker, Scratch scratch) {
    if (!job.ended()) {
      worker.search(
          List.of(job),
          SearchBatch.queryLimit(config.maxBatch(), SearchBatch.k(job, index)),
          scratch);
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
          boolean fits = job.count <= room[0];
          room[0] =
              fits
                  ? room[0] - job.count
                  : -1; // in order: nothing overtakes an insert that does not fit
          return fits;
        });
  }

  // ---- long work

  /**
   * A hidden row is dead to the device and to a move, so an insert, a compaction and a move never
   * overlap.
   */
  private boolean longWork(IndexHome here, IndexState index, IndexWork worker, Scratch scratch) {
    if (index.compacting()) {
      compactor.step(index, worker);
      return true;
    }
    InsertJob insert = inserts.peek();
    if (insert != null) {
      // A search in slices is answered by one device, and before the insert is published.
      boolean held = sliced != null && (noInsertBegun() || insert.rowsTaken() == insert.total);
      boolean worked = !held && worker.insertStep(insert, scratch);
      inserts.removeIf(job -> job.ended() || job != insert && worker.insertStopped(job));
      return worked;
    }
    if (sliced == null && relocation.begin(here, index)) {
      return true;
    }
    if (compactor.wanted(index)) {
      compactor.step(index, worker);
      return true;
    }
    return false;
  }

  private boolean noInsertBegun() {
    InsertJob insert = inserts.peek();
    return insert == null || insert.rowsTaken() == 0;
  }

  /** The vectors are on another device: the index goes on there. */
  private void arrive(IndexHome old, IndexState left) {
    IndexMove move = relocation.move();
    DeviceOwner owner = move.to().owner();
    move.target().claimSlots();
    try {
      left.close();
    } catch (RuntimeException | Error e) {
      LOG.log(System.Logger.Level.WARNING, "closing an index on the device it left failed", e);
    }
    IndexHome next = new IndexHome(owner, move.engine(), owner.seat(this), move.to().placement());
    compactor.moved();
    Runnable report = relocation.settled();
    settle(next, move.target()); // the new owner thread may run at once, so nothing else after it
    report.run();
    Thread.startVirtualThread(
        old.owner()::release); // waits for this very thread when it was the last user
    next.seat().ready();
  }

  /**
   * After a move, or after none was possible: what had no room before is tried once more, or fails.
   */
  private void resume(IndexWork worker, Scratch scratch) {
    Throwable refusal = relocation.refusal();
    boolean insertParked = relocation.takeInsertParked();
    relocation.forgetRefusal();
    for (Jobs.Add job : relocation.takeParked()) {
      if (refusal == null) {
        worker.retry(job, scratch);
      } else {
        job.fail(refusal);
      }
    }
    InsertJob insert = inserts.peek();
    if (insertParked && refusal != null && insert != null) {
      worker.dropInsert(insert, refusal);
      inserts.remove();
    }
  }

  // ---- the end

  private static IndexClosedException closed() {
    return new IndexClosedException("close: the index was closed before this request was done");
  }

  private void failAll(Throwable cause) {
    mailbox.drain().forEach(job -> job.fail(cause));
    SearchJob current = sliced;
    if (current != null) {
      current.fail(cause);
      sliced = null;
    }
    inserts.forEach(job -> job.fail(cause));
    inserts.clear();
    compactor.failAll(cause);
    relocation.failAll(cause);
    lingerFor = 0;
  }

  private void end(IndexState index) {
    failAll(closed());
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
