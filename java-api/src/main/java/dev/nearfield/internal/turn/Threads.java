// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import java.security.AccessController;
import java.security.PrivilegedAction;
import org.jspecify.annotations.Nullable;

/**
 * Starts the threads of this library. They outlive the call that needs them, and serve others, so
 * they take over nothing from the thread that makes them: no context class loader, no inheritable
 * thread locals, no thread group. Each of those would keep an application that is gone.
 */
public final class Threads {
  /** From this Java version on a thread no longer keeps the classes on the stack of its maker. */
  private static final int WITHOUT_INHERITED_ACCESS = 24;

  private Threads() {}

  /** A daemon thread: an index that was never closed must not keep the JVM alive. */
  static Thread daemon(String name, Runnable task) {
    return Runtime.version().feature() >= WITHOUT_INHERITED_ACCESS
        ? create(name, task)
        : privileged(name, task);
  }

  @SuppressWarnings("removal") // never reached where it may be gone
  private static Thread privileged(String name, Runnable task) {
    return AccessController.doPrivileged((PrivilegedAction<Thread>) () -> create(name, task));
  }

  @SuppressWarnings(
      "ThreadPriorityCheck") // nothing relies on it: the caller's own is not taken over
  private static Thread create(String name, Runnable task) {
    return Thread.ofPlatform()
        .name(name)
        .daemon()
        .group(root())
        .priority(Thread.NORM_PRIORITY)
        .inheritInheritableThreadLocals(false) // the context class loader is the system's then
        .unstarted(task);
  }

  private static ThreadGroup root() {
    ThreadGroup group = Thread.currentThread().getThreadGroup();
    for (ThreadGroup above = group.getParent(); above != null; above = group.getParent()) {
      group = above;
    }
    return group;
  }

  /** For what may wait or run code of a user. */
  public static void startVirtual(Runnable task) {
    Thread.ofVirtual().inheritInheritableThreadLocals(false).start(task);
  }

  /**
   * The same with the context class loader of this thread until the task has ended: for looking for
   * native libraries on behalf of a caller.
   */
  public static void startVirtualForCaller(Runnable task) {
    @Nullable ClassLoader loader = Thread.currentThread().getContextClassLoader();
    startVirtual(
        () -> {
          Thread.currentThread().setContextClassLoader(loader);
          task.run();
        });
  }
}
