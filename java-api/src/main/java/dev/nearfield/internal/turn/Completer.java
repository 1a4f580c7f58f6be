// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import java.util.concurrent.Executor;
import java.util.concurrent.ForkJoinPool;
import org.jspecify.annotations.Nullable;

/**
 * Where futures are completed and listeners called: the user's executor, or the common pool. The
 * executor itself is user code too (it may run tasks in place, block or refuse), so the owner
 * thread hands it over from a virtual thread and never calls it.
 */
public final class Completer {
  private static final System.Logger LOG = System.getLogger(Completer.class.getName());

  private final @Nullable Executor user;

  public Completer(@Nullable Executor user) {
    this.user = user;
  }

  /** Runs the task on another thread, whatever the executor does, short of dropping it silently. */
  public void run(Runnable task) {
    Runnable guarded = () -> guard(task);
    if (user == null) {
      ForkJoinPool.commonPool().execute(guarded);
    } else {
      Threads.startVirtual(
          () -> {
            try {
              user.execute(guarded);
            } catch (RuntimeException | Error refused) {
              guarded.run();
            }
          });
    }
  }

  private static void guard(Runnable task) {
    try {
      task.run();
    } catch (RuntimeException | Error e) {
      LOG.log(System.Logger.Level.WARNING, "a listener of an index threw", e);
    }
  }
}
