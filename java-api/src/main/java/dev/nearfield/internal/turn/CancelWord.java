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
 * batch is the armed one, or for good when nothing that runs is wanted any more.
 */
public final class CancelWord {
  private static final VarHandle WORD = ValueLayout.JAVA_INT.varHandle();

  private final Arena arena = Arena.ofShared();
  private final MemorySegment word = arena.allocate(ValueLayout.JAVA_INT);
  private final ReentrantLock lock = new ReentrantLock();
  private @Nullable Batch armed;
  private boolean raised; // for good
  private boolean freed;

  /** What {@link Engine.CallControl} takes. */
  public MemorySegment segment() {
    return word;
  }

  /** For a new batch, which may raise the word until {@link #disarm}. In a turn. */
  public Batch arm() {
    lock.lock();
    try {
      WORD.setVolatile(word, 0L, raised ? 1 : 0); // the batch before may have had no end of its own
      return armed = new Batch();
    } finally {
      lock.unlock();
    }
  }

  /** The call has returned: no batch may raise the word any more. In a turn. */
  public void disarm() {
    lock.lock();
    try {
      armed = null;
      WORD.setVolatile(word, 0L, raised ? 1 : 0);
    } finally {
      lock.unlock();
    }
  }

  /** Ends the running call and every later one. Any thread, also after {@link #close}. */
  public void raise() {
    lock.lock();
    try {
      raised = true;
      if (!freed) {
        WORD.setVolatile(word, 0L, 1);
      }
    } finally {
      lock.unlock();
    }
  }

  public boolean isRaised() {
    lock.lock();
    try {
      return raised;
    } finally {
      lock.unlock();
    }
  }

  /** Frees the word. In a turn, when no call is running. */
  public void close() {
    lock.lock();
    try {
      armed = null;
      freed = true;
    } finally {
      lock.unlock();
    }
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
