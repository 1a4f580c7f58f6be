// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/** Starts tasks at one moment, every other on a virtual thread, and waits for all. */
public final class Together {
  /** Far more than any of these tests needs, even on a busy machine: who runs into it is stuck. */
  static final Duration PATIENCE = Duration.ofSeconds(60);

  public interface Task {
    public void run() throws Exception;
  }

  private Together() {}

  /** One task on a platform thread of its own: the common pool may have no second one. */
  public static CompletableFuture<Void> start(Task task) {
    CompletableFuture<Void> end = new CompletableFuture<>();
    Thread.ofPlatform()
        .daemon()
        .start(
            () -> {
              try {
                task.run();
                end.complete(null);
              } catch (Throwable e) {
                end.completeExceptionally(e);
              }
            });
    return end;
  }

  /** Throws what the first task that failed threw; names the place where one is stuck. */
  public static void run(List<? extends Task> tasks) throws InterruptedException {
    CountDownLatch start = new CountDownLatch(1);
    AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
    List<Thread> threads = new ArrayList<>();
    for (Task task : tasks) {
      Thread.Builder builder =
          threads.size() % 2 == 0 ? Thread.ofPlatform().daemon() : Thread.ofVirtual();
      threads.add(
          builder
              .name("task-" + threads.size())
              .start(
                  () -> {
                    try {
                      start.await();
                      task.run();
                    } catch (Throwable e) {
                      failure.compareAndSet(null, e);
                    }
                  }));
    }
    start.countDown();
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    for (Thread thread : threads) {
      if (!thread.join(Duration.ofNanos(Math.max(1, deadline - System.nanoTime())))) {
        throw new AssertionError(
            "%s is stuck at %s".formatted(thread, Arrays.toString(thread.getStackTrace())),
            failure.get());
      }
    }
    if (failure.get() != null) {
      throw new AssertionError(failure.get());
    }
  }
}
