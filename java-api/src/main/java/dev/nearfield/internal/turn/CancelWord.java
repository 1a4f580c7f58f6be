// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import dev.nearfield.internal.engine.Engine;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The native word through which other threads end the running device call. It is reused from batch
 * to batch: a batch raises it when the last request in it is no longer wanted, and only while that
 * batch is the armed one.
 */
public final class CancelWord {
  private static final VarHandle WORD = ValueLayout.JAVA_INT.varHandle();

  private final Arena arena = Arena.ofShared();
  private final MemorySegment word = arena.allocate(ValueLayout.JAVA_INT);
  private final ReentrantLock lock = new ReentrantLock();
  private @Nullable Batch armed;

  /** What {@link Engine.CallControl} takes. */
  public MemorySegment segment() {
    return word;
  }

  /** Lowers the word for a new batch. In a turn. */
  public Batch arm() {
    lock.lock();
    try {
      WORD.setVolatile(word, 0L, 0);
      return armed = new Batch();
    } finally {
      lock.unlock();
    }
  }

  /** The call has returned: nothing may raise the word any more. In a turn. */
  public void disarm() {
    lock.lock();
    try {
      armed = null;
    } finally {
      lock.unlock();
    }
  }

  /** Frees the word. In a turn, when no call is running. */
  public void close() {
    disarm();
    arena.close();
  }

  /** The requests of one device call that are still wanted. */
  public final class Batch {
    private final AtomicInteger wanted =
        new AtomicInteger(1); // 1: the owner, until it has gathered the batch

    void join() {
      wanted.incrementAndGet();
    }

    public void gathered() {
      leave();
    }

    void leave() {
      if (wanted.decrementAndGet() == 0) {
        lock.lock();
        try {
          if (armed == this) {
            WORD.setVolatile(word, 0L, 1);
          }
        } finally {
          lock.unlock();
        }
      }
    }
  }
}
