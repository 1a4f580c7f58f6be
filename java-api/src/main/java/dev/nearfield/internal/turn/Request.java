// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import dev.nearfield.SearchTimeoutException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Function;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * One piece of work on its way from a caller to the owner thread and back. It moves from queued
 * over running to ended, and ends exactly once: by the owner, by its time-out or by its caller.
 * While queued, anyone may end it; while running, a caller may end it only when that leaves nothing
 * undecided ({@link #abandonable()}); else it asks the device to stop and waits for the verdict.
 */
public abstract class Request<T> {
  private static final Object QUEUED = new Object();
  private static final Object RUNNING = new Object();
  private static final VarHandle STATE;

  static {
    try {
      STATE = MethodHandles.lookup().findVarHandle(Request.class, "state", Object.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private record Failure(Throwable cause) {}

  /** A future, and what it shows of the answer. */
  private record Promise<T, R>(CompletableFuture<R> future, Function<? super T, ? extends R> view) {
    void succeed(T value) {
      future.complete(view.apply(value));
    }
  }

  private final String operation;
  private final long submitted;
  private final @Nullable Duration timeout;
  private final long timeoutNanos;
  private volatile Object state = QUEUED; // these, then a Failure or the answer itself
  private volatile boolean told; // whoever waits knows of the end
  private volatile @Nullable Throwable stopCause; // why a running request should stop
  private CancelWord.@Nullable Batch batch; // guarded by this
  private volatile @Nullable Thread waiter;
  private @Nullable Promise<T, ?> promise; // set before it is queued
  private @Nullable Completer completer;
  private volatile @Nullable Future<?> alarm; // until it is told
  private @Nullable Runnable withdraw;

  public Request(String operation, @Nullable Duration timeout) {
    this(operation, timeout, System.nanoTime());
  }

  /** {@code submitted}: System.nanoTime() of the call, if that was some time ago. */
  protected Request(String operation, @Nullable Duration timeout, long submitted) {
    this.submitted = submitted;
    this.operation = operation;
    this.timeout = timeout;
    this.timeoutNanos = timeout == null ? Long.MAX_VALUE : saturatedNanos(timeout);
  }

  public static long saturatedNanos(Duration duration) {
    try {
      return duration.toNanos();
    } catch (ArithmeticException e) {
      return Long.MAX_VALUE;
    }
  }

  /** Whether a running request may be ended without knowing what the device did. */
  protected boolean abandonable() {
    return true;
  }

  public final String operation() {
    return operation;
  }

  public final long submittedNanos() {
    return submitted;
  }

  /** Nanoseconds until the time-out, at least 0; Long.MAX_VALUE without one. */
  public final long remainingNanos() {
    return timeoutNanos == Long.MAX_VALUE
        ? Long.MAX_VALUE
        : Math.max(0, timeoutNanos - (System.nanoTime() - submitted));
  }

  public final boolean ended() {
    Object now = state;
    return now != QUEUED && now != RUNNING;
  }

  /** Whether the caller asked to stop while the request was running. */
  public final boolean cancelRequested() {
    return stopCause != null;
  }

  // ---- caller's side

  /**
   * What to do when the request ends while it is queued, so that its place in the mailbox is free
   * at once.
   */
  public final void onWithdraw(Runnable action) {
    withdraw = action;
  }

  /**
   * Makes the request answer a future instead of a waiting thread. To be called before it is
   * queued.
   */
  public final CompletableFuture<T> toFuture(Completer completer) {
    return toFuture(completer, Function.identity());
  }

  /** The same, of a future that shows the answer in another form. */
  public final <R> CompletableFuture<R> toFuture(
      Completer completer, Function<? super T, ? extends R> view) {
    CompletableFuture<R> answer = new CompletableFuture<>();
    this.completer = completer;
    this.promise = new Promise<>(answer, view);
    // Cancelled, or completed by someone else: nobody waits for the device any more.
    answer.whenComplete(
        (value, failure) -> {
          if (!ended()) {
            cancel();
          }
        });
    if (timeout != null) {
      alarm = Alarms.after(remainingNanos(), this::ring);
    }
    return answer;
  }

  /**
   * Waits for the end on the calling thread and answers or throws what it was. An interrupt cancels
   * and stays set; when the device had already done the work, its answer is given all the same.
   */
  public final T await() {
    boolean interrupted = false;
    Throwable thrown = null;
    waiter = Thread.currentThread();
    while (!ended()) {
      if (thrown == null) {
        try {
          onWake();
        } catch (RuntimeException | Error e) {
          thrown = e;
          cancel();
          continue;
        }
      }
      if (Thread.interrupted()) {
        interrupted = true;
        cancel();
        continue;
      }
      long left = remainingNanos();
      if (left == 0) {
        expire();
        if (ended()) {
          break;
        }
        left = Long.MAX_VALUE; // running and not abandonable: the verdict comes from the device
      }
      if (left == Long.MAX_VALUE) {
        LockSupport.park(this);
      } else {
        LockSupport.parkNanos(this, left);
      }
    }
    waiter = null;
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    if (thrown instanceof Error error) {
      throw error;
    }
    if (thrown instanceof RuntimeException exception) {
      throw exception;
    }
    Object end = state;
    if (end instanceof Failure(Throwable cause)) {
      throw Failures.onThisThread(cause);
    }
    @SuppressWarnings("unchecked")
    T value = (T) end;
    return value;
  }

  /**
   * Called on the waiting thread before it waits, and whenever it is woken. What it throws cancels
   * the request, and is thrown to the caller once that has ended.
   */
  protected void onWake() {}

  /** Any thread. */
  protected final void wakeWaiter() {
    Thread waiting = waiter;
    if (waiting != null) {
      LockSupport.unpark(waiting);
    }
  }

  /** Asks for the end; safe on any thread, any number of times. */
  final void cancel() {
    stop(() -> new CancellationException(operation + ": cancelled by the caller"));
  }

  /** Ends the request if its time is over; for whoever waits otherwise than {@link #await}. */
  protected final void expireIfDue() {
    if (remainingNanos() == 0) {
      expire();
    }
  }

  /** The time is over; again and again until that is told. */
  private void ring() {
    expire();
    Future<?> set = alarm; // not set yet when it rings at once
    if (told && set != null) {
      set.cancel(false);
    }
  }

  private void expire() {
    stop(
        () ->
            new SearchTimeoutException(
                "%s: not finished within its time-out of [%s]".formatted(operation, timeout)));
  }

  private void stop(Supplier<? extends Throwable> why) {
    if (ended()) {
      tell();
      return;
    }
    if (stopCause != null) {
      return; // asked for before
    }
    Throwable cause = why.get();
    if (endIfQueued(cause)) {
      return;
    }
    if (state == RUNNING) {
      if (abandonable() && STATE.compareAndSet(this, RUNNING, new Failure(cause))) {
        leaveBatch();
        tell();
      } else if (!abandonable() && stopCause == null) {
        stopCause = cause;
        leaveBatch();
        onCancelRequested();
      }
    }
  }

  /** Fails the request and takes it out of the queue, unless it has left that; answers whether. */
  protected final boolean endIfQueued(Throwable cause) {
    if (!STATE.compareAndSet(this, QUEUED, new Failure(cause))) {
      return false;
    }
    Runnable action = withdraw;
    if (action != null) {
      action.run();
    }
    tell();
    return true;
  }

  /** Called once when a running request that cannot be abandoned should stop. Any thread. */
  protected void onCancelRequested() {}

  // ---- owner's side

  /** Takes the request out of the queue for good; false when it has ended or its time is over. */
  public final boolean start() {
    expireIfDue();
    return STATE.compareAndSet(this, QUEUED, RUNNING);
  }

  /** As {@link #start()}, as a member of a batch that is stopped when all of its members are. */
  public final boolean start(CancelWord.Batch batch) {
    enterBatch(batch);
    if (start()) {
      return true;
    }
    leaveBatch();
    return false;
  }

  /** Lets a running request join the next of several batches. */
  public final void join(CancelWord.Batch next) {
    enterBatch(next);
    if (ended() || stopCause != null) {
      leaveBatch();
    }
  }

  private synchronized void enterBatch(CancelWord.Batch next) {
    next.join();
    batch = next;
  }

  private void leaveBatch() {
    CancelWord.Batch left;
    synchronized (this) { // held for two assignments, never for a wait
      left = batch;
      batch = null;
    }
    if (left != null) {
      left.leave();
    }
  }

  /**
   * Ends the request, if it has not ended, for which no memory is needed; if this throws, whichever
   * of its ends is called next tells of it.
   */
  public final void succeed(T value) {
    end(value);
  }

  /**
   * The same, which takes a little memory. When the device stopped because it was asked to, the
   * reason for asking is what counts.
   */
  public final void fail(Throwable cause) {
    Throwable asked = stopCause;
    end(new Failure(asked != null && cause instanceof CancellationException ? asked : cause));
  }

  private void end(Object outcome) {
    Object now = state;
    while (now == QUEUED || now == RUNNING) {
      STATE.compareAndSet(this, now, outcome);
      now = state;
    }
    tell();
  }

  /** Where there is no memory for it now, it is told when the request is ended once more. */
  private void tell() {
    if (!told) {
      onEnd();
      told = true;
    }
  }

  /**
   * The request has ended. Called on the thread that ended it; again, on any, if it throws or has
   * not returned by then.
   */
  protected void onEnd() {
    wakeWaiter();
    Promise<T, ?> answer = promise;
    Completer by = completer;
    if (answer != null && by != null) {
      by.run(() -> complete(answer));
    }
    Future<?> set = alarm;
    if (set != null) {
      set.cancel(false);
    }
  }

  @SuppressWarnings("unchecked")
  private void complete(Promise<T, ?> answer) {
    switch (state) {
      case Failure(CancellationException cause) -> answer.future().cancel(false);
      case Failure(Throwable cause) -> answer.future().completeExceptionally(cause);
      default -> answer.succeed((T) state);
    }
  }
}
