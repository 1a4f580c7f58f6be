// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.IndexBusyException;
import dev.nearfield.IndexClosedException;
import dev.nearfield.SearchTimeoutException;
import dev.nearfield.internal.move.Relocation;
import dev.nearfield.internal.turn.Request;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The bounded queue in front of one index: many callers put, whoever has the turn takes. First in,
 * first out.
 */
final class Mailbox implements Relocation.Places {
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition notFull = lock.newCondition();
  private final ArrayDeque<Request<?>> queue = new ArrayDeque<>();
  private final int capacity;
  private final long maxWaitNanos;
  private int held; // requests that were taken and still count
  private boolean closed;

  Mailbox(int capacity, long maxWaitNanos) {
    this.capacity = capacity;
    this.maxWaitNanos = maxWaitNanos;
  }

  /**
   * Queues a request, waiting for a place when the mailbox is full.
   *
   * @throws IndexBusyException when none came free in time
   * @throws SearchTimeoutException when the request's own time-out passed first
   * @throws IndexClosedException when the index is closed, or was while waiting
   * @throws CancellationException when the thread was interrupted, which stays so
   */
  void put(Request<?> request) {
    lock.lock();
    try {
      long left = Math.min(maxWaitNanos, request.remainingNanos());
      while (!closed && full() && !request.ended()) {
        if (left <= 0) {
          if (request.remainingNanos() == 0) {
            throw new SearchTimeoutException(
                "%s: its time-out passed while [%d] requests were queued, which is the limit"
                    .formatted(request.operation(), queue.size() + held));
          }
          throw new IndexBusyException(
              "%s: [%d] requests are queued, which is the limit, and none was taken within %d ms"
                  .formatted(request.operation(), queue.size() + held, maxWaitNanos / 1_000_000));
        }
        try {
          left = notFull.awaitNanos(left);
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          throw new CancellationException(
              request.operation() + ": interrupted while waiting for a place in the queue");
        }
      }
      if (closed) {
        throw closedException(request.operation());
      }
      if (!request.ended()) {
        queue.addLast(request);
      } else {
        notFull.signal(); // the place it was woken for is another's
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * Queues a request without waiting.
   *
   * @throws IndexBusyException when the mailbox is full
   * @throws IndexClosedException when the index is closed
   */
  void offer(Request<?> request) {
    lock.lock();
    try {
      if (closed) {
        throw closedException(request.operation());
      }
      if (full()) {
        throw new IndexBusyException(
            "%s: [%d] requests are queued, which is the limit"
                .formatted(request.operation(), queue.size() + held));
      }
      queue.addLast(request);
    } finally {
      lock.unlock();
    }
  }

  private boolean full() {
    return queue.size() + held >= capacity;
  }

  /** Whether a new request would be the next, and is welcome. */
  boolean idle() {
    lock.lock();
    try {
      return !closed && queue.isEmpty();
    } finally {
      lock.unlock();
    }
  }

  /** A request that was taken goes on counting as queued until {@link #letGo}. In a turn. */
  @Override
  public void hold() {
    lock.lock();
    try {
      held++;
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void letGo() {
    lock.lock();
    try {
      held--;
      notFull.signal();
    } finally {
      lock.unlock();
    }
  }

  static IndexClosedException closedException(String operation) {
    return new IndexClosedException(operation + ": the index is closed");
  }

  /** Requests that wait to be taken. */
  int size() {
    lock.lock();
    try {
      return queue.size();
    } finally {
      lock.unlock();
    }
  }

  /** Requests that count against the capacity: those that wait, and those held. */
  int count() {
    lock.lock();
    try {
      return queue.size() + held;
    } finally {
      lock.unlock();
    }
  }

  /** The request that would be taken next. */
  @Nullable Request<?> peek() {
    lock.lock();
    try {
      return queue.peekFirst();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Takes {@code expected} if it still is the next one; false when it has ended and left meanwhile.
   */
  boolean take(Request<?> expected) {
    lock.lock();
    try {
      if (queue.peekFirst() != expected) {
        return false;
      }
      queue.removeFirst();
      notFull.signal();
      return true;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Takes from the head, as long as they are of that type, those that {@code take} accepts, in
   * order; the others stay.
   */
  <R extends Request<?>> List<R> takeRun(Class<R> type, Predicate<? super R> take) {
    List<R> taken = new ArrayList<>();
    lock.lock();
    try {
      for (Request<?> next : queue) {
        if (!type.isInstance(next)) {
          break;
        }
        R request = type.cast(next);
        if (take.test(request)) {
          taken.add(request);
        }
      }
      // Not while the list grows, which may fail: none may be lost.
      Iterator<Request<?>> left = queue.iterator();
      for (int i = 0; i < taken.size(); ) {
        if (left.next() == taken.get(i)) {
          left.remove();
          notFull.signal();
          i++;
        }
      }
    } finally {
      lock.unlock();
    }
    return taken;
  }

  /** Puts a request that was taken back to the head, unless it has ended; there is always room. */
  void putBack(Request<?> request) {
    lock.lock();
    try {
      if (!request.ended()) {
        queue.addFirst(request);
      }
    } finally {
      lock.unlock();
    }
  }

  /** Gives the place of a request that ended in the queue to others. */
  void remove(Request<?> request) {
    lock.lock();
    try {
      if (queue.remove(request)) {
        notFull.signal();
      }
    } finally {
      lock.unlock();
    }
  }

  /** Refuses new requests from now on; those queued stay. */
  void refuse() {
    lock.lock();
    try {
      closed = true;
      notFull.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Fails what is queued now. In a turn. */
  void failAll(Throwable cause) {
    for (int left = size(); left > 0; left--) {
      Request<?> next = peek();
      if (next == null) {
        return;
      }
      next.fail(cause); // before it leaves: this may fail, too, and must find it again
      remove(next);
    }
  }
}
