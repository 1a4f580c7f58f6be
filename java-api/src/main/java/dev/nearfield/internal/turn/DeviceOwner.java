// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import dev.nearfield.Device;
import dev.nearfield.internal.engine.Engine;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Who talks to a device when: one per device and class loader, with the engine and one thread of
 * its own, shared by all that use the device ({@link OwnerRegistry}). Those with work take turns of
 * about {@link #TURN_NANOS}, one at a time, on the owner thread; while nobody wants the device a
 * caller may take a brief turn on its own thread ({@link Seat#tryHere}). What a turn touches needs
 * no other lock: each turn sees all that those before it did.
 */
public final class DeviceOwner {
  /**
   * A turn: long against the cost of switching, short against what a person or a time-out notices.
   */
  public static final long TURN_NANOS = 10_000_000;

  /** A turn that keeps failing is run, and logged, every 10 s in the end. */
  private static final int MAX_DOUBLINGS = 10;

  /** {@link Turn#run}: run again as soon as the others have had their turn. */
  public static final long AGAIN = 0;

  /** {@link Turn#run}: nothing to do until {@link Seat#ready()}. */
  public static final long IDLE = -1;

  /** Someone with work for the device. */
  public interface Turn {
    /**
     * Works until about {@code untilNanos} (System.nanoTime) and answers {@link #AGAIN}, {@link
     * #IDLE}, or after how many nanoseconds to be run again at the latest.
     */
    long run(Engine engine, Scratch scratch, long untilNanos);
  }

  private static final System.Logger LOG = System.getLogger(DeviceOwner.class.getName());

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final ArrayDeque<Seat> ready = new ArrayDeque<>();
  private final List<Seat> waiting = new ArrayList<>();
  private final Device device;
  private final OwnerRegistry registry;
  private final CompletableFuture<Engine> opened = new CompletableFuture<>();
  private final CancelWord cancelWord = new CancelWord();
  // Not Thread.join: before Java 24 that pins a virtual thread.
  private final CountDownLatch ended = new CountDownLatch(1);
  private final Thread thread;
  private final Scratch scratch = new Scratch(); // of whoever has the turn
  int users; // guarded by the registry's lock
  private volatile @Nullable Engine engine; // null before it is open and once it is to be closed
  private boolean taken; // somebody's turn is running; this and below guarded by `lock`
  private boolean unused;
  private long endAt; // when unused

  DeviceOwner(Device device, Function<Device, Engine> open, OwnerRegistry registry) {
    this.device = device;
    this.registry = registry;
    this.thread =
        Threads.daemon(
            "nearfield-" + device.id(),
            () -> {
              try {
                live(open);
              } finally {
                ended.countDown();
              }
            });
  }

  /**
   * The owner of a device, started when there is none. Every call is to be paired with {@link
   * #release()}. Waits until the engine is open, and throws what opening it threw.
   */
  public static DeviceOwner acquire(Device device, Function<Device, Engine> open) {
    return OwnerRegistry.SHARED.acquire(device, open).awaitOpen();
  }

  /**
   * An owner of its own for an engine that no other may share: its release waits until the engine
   * is closed.
   */
  public static DeviceOwner of(Engine engine) {
    return new OwnerRegistry(0).acquire(engine.device(), d -> engine).awaitOpen();
  }

  void start() {
    try {
      thread.start();
    } catch (RuntimeException | Error e) {
      cancelWord.close();
      throw e;
    }
  }

  DeviceOwner awaitOpen() {
    try {
      opened.join();
      return this;
    } catch (CompletionException e) {
      release();
      Throwable cause = e.getCause();
      throw Failures.onThisThread(cause == null ? e : cause);
    }
  }

  /**
   * Ends one use. Some time after the last one the thread closes the engine and ends. Never on the
   * owner thread.
   */
  public void release() {
    if (registry.release(this)) {
      Waits.uninterruptibly(ended::await);
    }
  }

  // ---- for the registry, whose lock is held

  /** Whether there is no device here to be used: it was lost, or could not be opened. */
  boolean broken() {
    Engine open = engine;
    return open != null ? open.lost() : opened.isCompletedExceptionally();
  }

  /** Whether nobody uses it; then it is to end after some time. */
  void setUnused(boolean unused, long afterNanos) {
    lock.lock();
    try {
      this.unused = unused;
      this.endAt = System.nanoTime() + afterNanos;
      if (unused) {
        changed.signal();
      }
    } finally {
      lock.unlock();
    }
  }

  /** Begins no more turns from now on, if it is time to end; answers whether it is. */
  boolean shut() {
    lock.lock();
    try {
      if (taken || !ready.isEmpty() || leftNanos() > 0) {
        return false;
      }
      engine = null;
      return true;
    } finally {
      lock.unlock();
    }
  }

  /** Until it is to end. Under `lock`. */
  private long leftNanos() {
    return unused ? Math.max(0, endAt - System.nanoTime()) : Long.MAX_VALUE;
  }

  // ----

  Device device() {
    return device;
  }

  /** For turns that belong to no index; armed within one, as they run one at a time. */
  public CancelWord cancelWord() {
    return cancelWord;
  }

  public Seat seat(Turn turn) {
    return new Seat(turn);
  }

  /** A place at the device. */
  public final class Seat {
    private final Turn turn;
    private boolean queued; // in `ready`; like the rest guarded by `lock`
    private boolean running; // in its turn
    private boolean again; // was made ready meanwhile
    private long wakeAt;
    private int failures; // in a row; in a turn

    private Seat(Turn turn) {
      this.turn = turn;
    }

    /** There is work: the turn will be run soon. Any thread. */
    public void ready() {
      lock.lock();
      try {
        enqueue();
      } finally {
        lock.unlock();
      }
    }

    /**
     * Runs a turn on the calling thread, unless somebody has the device or waits for it; answers
     * whether it was run. For turns so brief that the caller need not be told to stop meanwhile, on
     * a platform thread: a virtual one that waits for a lock in its turn may get no carrier back,
     * and nobody else gets the device. What the turn throws is thrown here, and the owner thread
     * has a turn then.
     */
    public boolean tryHere(Turn brief) {
      Engine free;
      lock.lock();
      try {
        free = engine;
        if (free == null || taken || !ready.isEmpty()) {
          return false;
        }
        taken = true;
        running = true;
      } finally {
        lock.unlock();
      }
      long delay = AGAIN;
      try {
        delay = brief.run(free, scratch, System.nanoTime() + TURN_NANOS);
      } finally {
        done(delay);
      }
      return true;
    }

    private void run(Engine engine) {
      long delay = IDLE;
      try {
        delay = turn.run(engine, scratch, System.nanoTime() + TURN_NANOS);
        failures = 0;
      } catch (RuntimeException | Error e) { // no memory, or a bug: what it left undone waits on
        delay = TURN_NANOS << Math.min(failures++, MAX_DOUBLINGS);
        log(e);
      } finally {
        done(delay);
      }
    }

    private void log(Throwable failure) {
      try {
        LOG.log(System.Logger.Level.ERROR, "a turn on " + device + " failed", failure);
      } catch (RuntimeException | Error e) {
        failure.addSuppressed(e); // no memory for that either; the owner thread must go on
      }
    }

    private void done(long delay) {
      lock.lock();
      try {
        taken = false;
        running = false;
        if (delay == AGAIN || again) {
          again = false;
          enqueue();
        } else if (delay != IDLE && !queued) {
          wakeAt = System.nanoTime() + delay;
          waiting.remove(this);
          waiting.add(this);
        }
        if (Thread.currentThread() != thread
            && (unused || !ready.isEmpty() || !waiting.isEmpty())) {
          changed.signal();
        }
        if (ready.isEmpty()) {
          scratch.trim(); // under the lock nobody can begin a turn
        }
      } finally {
        lock.unlock();
      }
    }

    private void enqueue() {
      if (running) { // at the end of the turn, so behind those who wait already
        again = true;
        waiting.remove(this);
        return;
      }
      if (!queued) {
        ready.addLast(this);
        queued = true;
        waiting.remove(this);
      }
      // At the end of the turn if one is running. Also when it was queued before: whoever queued it
      // may have failed before this line.
      if (!taken) {
        changed.signal();
      }
    }
  }

  private void live(Function<Device, Engine> open) {
    Engine engine;
    try {
      engine = open.apply(device);
    } catch (RuntimeException | Error e) {
      cancelWord.close();
      opened.completeExceptionally(e);
      return;
    }
    this.engine = engine;
    opened.complete(engine);
    try {
      boolean alive = true;
      while (alive) {
        alive = runNext(engine) || !registry.retire(this);
      }
    } finally {
      scratch.close();
      cancelWord.close();
      engine.close();
    }
  }

  /** A method of its own, so that no frame keeps an index while there is nothing to do. */
  private boolean runNext(Engine engine) {
    Seat seat = next();
    if (seat != null) {
      seat.run(engine);
    }
    return seat != null;
  }

  /** The next seat in order, waiting for one; null when it is time to end. */
  private @Nullable Seat next() {
    lock.lock();
    try {
      while (true) {
        long sleep = wakeDue();
        if (!taken) {
          Seat seat = ready.pollFirst();
          if (seat != null) {
            seat.queued = false;
            seat.running = true;
            taken = true;
            return seat;
          }
          long left = leftNanos();
          if (left == 0) {
            return null;
          }
          sleep = Math.min(sleep, left);
        }
        try {
          if (sleep == Long.MAX_VALUE) {
            changed.await();
          } else {
            changed.awaitNanos(sleep);
          }
        } catch (InterruptedException e) {
          LOG.log(System.Logger.Level.DEBUG, "nobody interrupts an owner thread on purpose", e);
        }
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * Moves the seats whose time has come to the queue; answers the nanoseconds until the next one.
   */
  private long wakeDue() {
    long sleep = Long.MAX_VALUE;
    long now = System.nanoTime();
    for (int i = waiting.size() - 1; i >= 0; i--) {
      Seat seat = waiting.get(i);
      long left = seat.wakeAt - now;
      if (left <= 0) {
        seat.enqueue();
      } else {
        sleep = Math.min(sleep, left);
      }
    }
    return sleep;
  }
}
