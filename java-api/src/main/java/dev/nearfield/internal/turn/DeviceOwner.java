// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import dev.nearfield.Device;
import dev.nearfield.internal.engine.Engine;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Who talks to a device when: one per device and class loader, with the engine and one thread of
 * its own, shared by all that use the device and counted by them. Those with work take turns of
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
  private static final ReentrantLock REGISTRY = new ReentrantLock();
  private static final Map<Device, DeviceOwner> OWNERS = new HashMap<>();

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final ArrayDeque<Seat> ready = new ArrayDeque<>();
  private final List<Seat> waiting = new ArrayList<>();
  private final Device device;
  private final boolean registered;
  private final CompletableFuture<Engine> opened = new CompletableFuture<>();
  private final CancelWord cancelWord = new CancelWord();
  // Not Thread.join: before Java 24 that pins a virtual thread.
  private final CountDownLatch ended = new CountDownLatch(1);
  private final Thread thread;
  private final Scratch scratch = new Scratch(); // of whoever has the turn
  private int users; // guarded by REGISTRY
  private @Nullable Engine engine; // null before it is open; this and below guarded by `lock`
  private boolean taken; // somebody's turn is running
  private boolean stopping;

  private DeviceOwner(Device device, Function<Device, Engine> open, boolean registered) {
    this.device = device;
    this.registered = registered;
    this.thread =
        new Thread(
            () -> {
              try {
                live(open);
              } finally {
                ended.countDown();
              }
            },
            "nearfield-" + device.id());
    thread.setDaemon(true); // an index that was never closed must not keep the JVM alive
  }

  /**
   * The owner of a device, started when this is the first use. Every call is to be paired with
   * {@link #release()}. Waits until the engine is open, and throws what opening it threw.
   */
  public static DeviceOwner acquire(Device device, Function<Device, Engine> open) {
    DeviceOwner owner;
    REGISTRY.lock();
    try {
      owner = OWNERS.get(device);
      if (owner == null) {
        owner = new DeviceOwner(device, open, true);
        owner.start(); // first: an owner that could not start must not be found
        OWNERS.put(device, owner);
      }
      owner.users++;
    } finally {
      REGISTRY.unlock();
    }
    return owner.awaitOpen();
  }

  /** An owner of its own for an engine that no other may share. */
  public static DeviceOwner of(Engine engine) {
    DeviceOwner owner = new DeviceOwner(engine.device(), d -> engine, false);
    owner.users = 1;
    owner.start();
    return owner.awaitOpen();
  }

  private void start() {
    try {
      thread.start();
    } catch (RuntimeException | Error e) {
      cancelWord.close();
      throw e;
    }
  }

  private DeviceOwner awaitOpen() {
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
   * Ends one use. The last one stops the thread, which closes the engine, and waits for that. Never
   * on the owner thread.
   */
  public void release() {
    REGISTRY.lock();
    try {
      if (--users > 0) {
        return;
      }
      if (registered) {
        OWNERS.remove(device, this);
      }
    } finally {
      REGISTRY.unlock();
    }
    lock.lock();
    try {
      stopping = true;
      changed.signal();
    } finally {
      lock.unlock();
    }
    Waits.uninterruptibly(ended::await);
  }

  Device device() {
    return device;
  }

  /** For calls that belong to no index; those run one at a time. */
  CancelWord cancelWord() {
    return cancelWord;
  }

  public Seat seat(Turn turn) {
    return new Seat(turn);
  }

  /** A place at the device. */
  public final class Seat {
    private final Turn turn;
    private boolean queued; // in `ready`; like the rest guarded by `lock`
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
        if (free == null || taken || stopping || !ready.isEmpty()) {
          return false;
        }
        taken = true;
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
        if (delay == AGAIN) {
          enqueue();
        } else if (delay != IDLE && !queued) {
          wakeAt = System.nanoTime() + delay;
          waiting.remove(this);
          waiting.add(this);
        }
        if (Thread.currentThread() != thread
            && (stopping || !ready.isEmpty() || !waiting.isEmpty())) {
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
    lock.lock();
    try {
      this.engine = engine;
    } finally {
      lock.unlock();
    }
    opened.complete(engine);
    try {
      for (Seat seat = next(); seat != null; seat = next()) {
        seat.run(engine);
      }
    } finally {
      scratch.close();
      cancelWord.close();
      engine.close();
    }
  }

  /** The next seat in order, waiting for one; null when the owner is to stop. */
  private @Nullable Seat next() {
    lock.lock();
    try {
      while (true) {
        long sleep = wakeDue();
        if (!taken) {
          Seat seat = ready.pollFirst();
          if (seat != null) {
            seat.queued = false;
            taken = true;
            return seat;
          }
          if (stopping) {
            return null;
          }
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
