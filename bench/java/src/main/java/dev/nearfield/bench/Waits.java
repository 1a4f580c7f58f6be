// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.locks.LockSupport;

/**
 * How long others wait while something large runs, and how long that takes alone and beside them.
 */
final class Waits {
  private final String line;
  private final long pace;
  private long[] waits = new long[1024];
  private int count;
  private long[] alone = {};
  private long[] beside = {};

  /**
   * @param line names the figures in the reply
   * @param pace nanoseconds from one probe to the next
   */
  Waits(String line, long pace) {
    this.line = line;
    this.pace = pace;
  }

  int count() {
    return count;
  }

  /** Runs {@code bulk} with nothing beside it. */
  void alone(Callable<?> bulk) throws Exception {
    long start = System.nanoTime();
    bulk.call();
    alone(System.nanoTime() - start);
  }

  void alone(long nanos) {
    alone = with(alone, nanos);
  }

  /**
   * Runs {@code bulk} on a thread of its own and probes at a steady pace until it is done. Whoever
   * would have asked while a probe was waiting has waited from then on: otherwise a stall of
   * seconds would count as one probe among many (coordinated omission).
   */
  void beside(Callable<?> bulk, Callable<?> probe) throws Exception {
    CountDownLatch running = new CountDownLatch(1);
    FutureTask<long[]> task =
        new FutureTask<>(
            () -> {
              long begin = System.nanoTime();
              running.countDown();
              bulk.call();
              return new long[] {begin, System.nanoTime()};
            });
    Thread.ofPlatform().name("bulk").start(task);
    running.await();
    long due = System.nanoTime() + pace;
    while (sleptUntil(due, task)) {
      long start = System.nanoTime();
      probe.call();
      long end = System.nanoTime();
      add(end - start);
      long until = task.isDone() && task.get()[1] < end ? task.get()[1] : end;
      for (due += pace; due < until; due += pace) {
        add(end - due);
      }
    }
    long[] ran = result(task);
    beside = with(beside, ran[1] - ran[0]);
  }

  /** False as soon as the task is done. */
  private static boolean sleptUntil(long due, FutureTask<?> task) {
    for (long left = due - System.nanoTime(); left > 0; left = due - System.nanoTime()) {
      if (task.isDone()) {
        return false;
      }
      LockSupport.parkNanos(Math.min(left, 1_000_000));
    }
    return !task.isDone();
  }

  static <T> T result(FutureTask<T> task) throws Exception {
    try {
      return task.get();
    } catch (ExecutionException e) {
      throw e.getCause() instanceof Exception cause ? cause : e;
    }
  }

  void add(long nanos) {
    if (count == waits.length) {
      waits = Arrays.copyOf(waits, 2 * count);
    }
    waits[count++] = nanos;
  }

  private static long[] with(long[] all, long one) {
    long[] more = Arrays.copyOf(all, all.length + 1);
    more[all.length] = one;
    return more;
  }

  void reportTo(Map<String, Object> reply) {
    if (count == 0) {
      throw new IllegalStateException(
          "turns: [0] probes of '%s' while the other ran, at least 1 is needed".formatted(line));
    }
    new Timings(Arrays.copyOf(waits, count)).reportTo(reply, line);
    if (alone.length > 0) {
      reply.put(line + ".alone_s", new Timings(alone).median());
    }
    if (beside.length > 0) {
      reply.put(line + ".beside_s", new Timings(beside).median());
    }
  }
}
