// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

/** Waiting that an interrupt does not end. */
public final class Waits {
  private Waits() {}

  public interface Interruptible {
    void run() throws InterruptedException;
  }

  /** Repeats a wait until it ends by itself; an interrupt meanwhile is set again afterwards. */
  public static void uninterruptibly(Interruptible wait) {
    boolean interrupted = false;
    while (true) {
      try {
        wait.run();
        break;
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
