// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.DeviceLostException;
import dev.nearfield.Placement;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.event.FallbackReporter;
import dev.nearfield.internal.event.IndexCounters;
import dev.nearfield.internal.move.Elsewhere;
import dev.nearfield.internal.move.IndexMove;
import dev.nearfield.internal.move.MoveJob;
import dev.nearfield.internal.move.Relocation;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.turn.CancelWord;
import dev.nearfield.internal.turn.Change;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.IndexHome;
import dev.nearfield.internal.turn.Request;
import dev.nearfield.internal.turn.Scratch;
import dev.nearfield.internal.turn.Threads;
import dev.nearfield.internal.value.PlacementInfo;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;

/**
 * Decides what an index does next: requests in the order of its mailbox, neighbours of a kind
 * together, and in between a slice of a bulk search or a step of its {@link LongWork}. Everything
 * here runs in a turn at the device the index is on, on the owner thread or, for {@link BriefWork},
 * on a caller's; except where a method says otherwise.
 */
final class IndexActor implements DeviceOwner.Turn {
  private static final System.Logger LOG = System.getLogger(IndexActor.class.getName());

  private final IndexConfig config;
  private final Mailbox mailbox;
  private final Taken taken;
  private final IndexCounters counters;
  private final CancelWord cancel = new CancelWord();
  private final CountDownLatch ended = new CountDownLatch(1);
  private volatile boolean draining;
  private volatile boolean closing;
  private volatile @Nullable IndexHome home; // null before begin()

  // These three: null before begin() and after the end.
  private @Nullable IndexState state;
  private @Nullable IndexWork work;
  private @Nullable SearchWork searches;
  private final Compactor compactor;
  private final Trainer trainer;
  private final ListTrainer listTrainer = new ListTrainer();
  private final Relocation relocation;
  private final LongWork longWork;
  private final Linger linger;
  private final SearchTurns turns;
  private boolean longWorkNext;

  IndexActor(
      IndexConfig config,
      Mailbox mailbox,
      IndexCounters counters,
      Elsewhere elsewhere,
      FallbackReporter reporter) {
    this.config = config;
    this.mailbox = mailbox;
    this.taken = new Taken(mailbox);
    this.counters = counters;
    this.compactor = new Compactor(config.deadRatio());
    this.trainer = new Trainer(config.codedFrom());
    this.linger = new Linger(config.maxLingerNanos());
    this.turns = new SearchTurns(mailbox, taken, linger, this::wake);
    this.relocation = new Relocation(elsewhere, reporter, mailbox, this::wake, this::isMovable);
    this.longWork = new LongWork(compactor, trainer, listTrainer, relocation);
  }

  /**
   * Takes over the empty index on the device. To be called once, on the owner thread, before
   * anything else.
   */
  void begin(DeviceOwner owner, Engine engine, Placement placement, IndexState index) {
    settle(owner, engine, placed(placement, index), index);
  }

  private static Placement placed(Placement there, IndexState index) {
    return PlacementInfo.of(there, index.encoding(), index.options().listed());
  }

  /** {@link #begin} failed or will never be called. */
  void notBegun() {
    cancel.close();
  }

  private IndexHome settle(
      DeviceOwner owner, Engine engine, Placement placement, IndexState index) {
    IndexHome at = new IndexHome(owner, engine, owner.seat(this), placement);
    if (index.fitted()) {
      counters.trained();
    }
    state = index;
    IndexWork worker = new IndexWork(index, counters, cancel, placement, relocation);
    work = worker;
    searches = new SearchWork(config, index, worker, counters, cancel, placement);
    home = at; // last: it hands everything above to the owner thread there
    return at;
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
   * Does a request of the calling thread at once when that is brief, nothing waits before it and
   * nobody else wants the device; answers whether it was so. Any thread.
   */
  boolean serveHere(Request<?> own) {
    IndexHome here = home();
    if (!here.engine().onHost()
        || Thread.currentThread().isVirtual()
        || Thread.currentThread().isInterrupted()) { // await() cancels it then
      return false;
    }
    Here turn = new Here(here, own);
    return here.seat().tryHere(turn) && turn.served;
  }

  /** A caller's own turn. */
  private final class Here implements DeviceOwner.Turn {
    private final IndexHome here;
    private final Request<?> own;
    boolean served;

    Here(IndexHome here, Request<?> own) {
      this.here = here;
      this.own = own;
    }

    @Override
    public long run(Engine engine, Scratch scratch, long untilNanos) {
      IndexState index = state;
      IndexWork worker = work;
      SearchWork searcher = searches;
      if (home != here || index == null || worker == null || searcher == null) {
        return DeviceOwner.IDLE;
      }
      if (pending(worker) || !mailbox.idle()) {
        return DeviceOwner.IDLE; // what is queued has been told to the owner thread
      }
      try {
        if (!BriefWork.isBrief(own, index, config.maxBatch())) {
          return DeviceOwner.IDLE;
        }
        served = true;
        BriefWork.serve(own, worker, searcher, scratch);
      } catch (RuntimeException | Error e) {
        served = true;
        own.fail(e);
      }
      return pending(worker)
              || compactor.wanted(index)
              || trainer.wanted(index)
              || listTrainer.wanted()
          ? DeviceOwner.AGAIN
          : DeviceOwner.IDLE;
    }
  }

  /** Whether there is something for the owner thread besides the mailbox. */
  private boolean pending(IndexWork worker) {
    return closing
        || draining
        || linger.isOn()
        || turns.hasBulk()
        || longWork.isExclusive()
        || worker.lost() != null
        || relocation.busy()
        || relocation.hasParked();
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
    cancel.raise();
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
    try {
      taken.failLeft();
      return run(here, scratch, untilNanos);
    } catch (RuntimeException | Error e) {
      if (home == here) { // else everything here is the new owner thread's
        taken.fail(e);
      }
      throw e;
    }
  }

  private long run(IndexHome here, Scratch scratch, long untilNanos) {
    while (true) {
      IndexState index = state;
      IndexWork worker = work;
      SearchWork searcher = searches;
      if (index == null || worker == null || searcher == null) {
        return DeviceOwner.IDLE;
      }
      DeviceLostException lost = worker.lost();
      relocation.endStopped();
      if (relocation.busy()) {
        Throwable stop = lost == null && closing ? IndexWork.closed("close") : lost;
        if (relocation.step(here, index, stop, scratch)) {
          arrive(here, index);
          return DeviceOwner.IDLE; // everything here is the new owner thread's by now
        }
        if (relocation.busy()) {
          return relocation.claiming() ? DeviceOwner.AGAIN : DeviceOwner.IDLE;
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
        resume(index, worker, scratch);
        if (relocation.busy()) {
          continue;
        }
      }
      turns.settle();
      boolean worked = !longWork.isExclusive() && serveMailbox(index, worker, searcher, scratch);
      if (relocation.busy()) {
        continue; // an insert found no room
      }
      boolean late = System.nanoTime() - untilNanos >= 0;
      if (worked && !late && mailbox.size() > 0) {
        continue; // who waits does not wait for a step each
      }
      worked |= step(here, index, worker, searcher, scratch);
      if (!worked) {
        long left = linger.leftNanos();
        if (left > 0) {
          return left;
        }
        if (draining && mailbox.size() == 0 && isQuiet()) {
          closing = true;
          continue;
        }
        if (!linger.isOn()) {
          return DeviceOwner.IDLE;
        }
        linger.end();
      } else if (late || System.nanoTime() - untilNanos >= 0) {
        return DeviceOwner.AGAIN;
      }
    }
  }

  // ---- the mailbox

  private boolean serveMailbox(
      IndexState index, IndexWork worker, SearchWork searcher, Scratch scratch) {
    Request<?> next = mailbox.peek();
    if (next == null || next instanceof SearchJob && linger.wants(mailbox.size())) {
      return false;
    }
    taken.next(next);
    linger.end();
    switch (next) {
      case SearchJob first -> turns.serve(first, index, searcher, scratch);
      case Jobs.Add first ->
          worker.add(
              taken.all(Jobs.Add.take(mailbox, index.slots().chunkRows(index.dim()))), scratch);
      default -> {
        if (mailbox.take(next)) {
          serve(next, index, worker, scratch);
        }
      }
    }
    taken.served();
    return true;
  }

  private void serve(Request<?> next, IndexState index, IndexWork worker, Scratch scratch) {
    switch (next) {
      case InsertJob insert -> {
        if (insert.start()) {
          longWork.add(insert);
        }
      }
      case Jobs.Remove many when many.handles.length > index.slots().step() -> {
        if (many.start()) {
          longWork.add(many);
        }
      }
      case Jobs.Compact compact -> {
        if (compact.start()) {
          compactor.ask(compact);
        }
      }
      case ListJob<?> job -> {
        if (job.start()) {
          listTrainer.ask(job);
        }
      }
      case MoveJob move -> {
        if (move.start()) {
          relocation.ask(move);
        }
      }
      default -> worker.single(next, scratch);
    }
  }

  /** A step of long work or a slice of a bulk search, by turns; answers whether there was one. */
  private boolean step(
      IndexHome here, IndexState index, IndexWork worker, SearchWork searcher, Scratch scratch) {
    if (longWork.isExclusive()) {
      return longWork.step(here, index, worker, scratch);
    }
    longWorkNext = !longWorkNext;
    return longWorkNext
        ? longWork.step(here, index, worker, scratch) || turns.slice(index, searcher, scratch)
        : turns.slice(index, searcher, scratch) || longWork.step(here, index, worker, scratch);
  }

  // ---- moves

  /** Hidden rows of a large insert would stay behind, and rows must have but one number. */
  private boolean isMovable() {
    IndexState index = state;
    return !longWork.hasHiddenRows() && index != null && !index.renumbering();
  }

  private boolean isQuiet() {
    return turns.isEmpty() && longWork.isEmpty() && !relocation.busy();
  }

  /** The vectors are on another device: the index goes on there. */
  private void arrive(IndexHome old, IndexState left) {
    IndexMove move = relocation.move();
    try {
      left.close();
    } catch (RuntimeException | Error e) {
      LOG.log(System.Logger.Level.WARNING, "closing an index on the device it left failed", e);
    }
    IndexState there = move.target();
    Placement placement = placed(move.to().placement(), there);
    compactor.moved();
    trainer.moved();
    listTrainer.moved();
    counters.moved();
    Runnable report = relocation.settled(placement);
    // The new owner thread may run at once, so nothing else after it.
    IndexHome next = settle(move.to().owner(), move.engine(), placement, there);
    report.run();
    Threads.startVirtual(old.owner()::release); // may wait for this very thread
    next.seat().ready();
  }

  /**
   * After a move, or after none was possible: what had no room before is tried once more, or fails.
   */
  private void resume(IndexState index, IndexWork worker, Scratch scratch) {
    Throwable refusal = relocation.refusal();
    boolean insertParked = relocation.takeInsertParked();
    relocation.forgetRefusal();
    for (Change<?> job : taken.all(relocation.takeParked())) {
      if (refusal == null) {
        worker.retry(job, scratch);
      } else {
        job.fail(refusal);
      }
    }
    taken.served();
    if (insertParked) {
      longWork.resumeInserts(refusal, index, worker);
    }
  }

  // ---- the end

  private void failAll(Throwable cause) {
    mailbox.failAll(cause);
    turns.failAll(cause);
    longWork.failAll(cause);
    relocation.failAll(cause);
    linger.end();
  }

  private void end(IndexState index) {
    failAll(IndexWork.closed("close"));
    try {
      index.close();
    } catch (RuntimeException | Error e) {
      LOG.log(System.Logger.Level.WARNING, "closing an index failed", e);
    } finally {
      cancel.close();
      state = null;
      work = null;
      searches = null;
      ended.countDown();
    }
  }
}
