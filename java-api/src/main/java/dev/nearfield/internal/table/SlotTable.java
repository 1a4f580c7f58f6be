// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import dev.nearfield.VectorHandle;
import dev.nearfield.internal.turn.DeviceOwner;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongPredicate;

/**
 * Which row a handle names. Slots are apart from rows, so rows may move; a slot is never given up,
 * its generation is raised when its vector goes, and free slots are reused first in, first out, so
 * that a stale handle meets another generation for as long as possible. A slot whose generation is
 * used up is retired.
 *
 * <p>Written in turns only ({@link DeviceOwner}), which read without the lock; every other thread
 * reads under it. The lock is held for at most one page of slots at a time and never while user
 * code runs.
 */
public final class SlotTable {
  static final int NO_ROW = -1;

  private static final int LAST_GENERATION = -1; // 2^32 - 1 unsigned

  /**
   * Slots copied at a time for {@link #select}: 128 KiB, so the owner waits microseconds for the
   * lock.
   */
  private static final int CHUNK = 1 << 14;

  private final ReentrantLock lock = new ReentrantLock();
  private final int firstGeneration;
  private final PagedInts generations = new PagedInts();
  private final PagedInts rows = new PagedInts();
  // Free slots form a queue through their own entries in `rows`: next free slot as -2 - slot, END
  // at the tail.
  private static final int END = Integer.MIN_VALUE;
  private int head = END;
  private int tail = END;
  private int slots;
  private int free;
  private int live;

  public SlotTable(int firstGeneration) {
    this.firstGeneration = firstGeneration;
  }

  /** Makes room so that the next {@link #allocate} of {@code count} slots cannot fail. */
  void reserve(int count) {
    lock.lock();
    try {
      long needed = (long) slots + Math.max(0, count - free);
      generations.ensure(needed);
      rows.ensure(needed);
    } finally {
      lock.unlock();
    }
  }

  /**
   * Gives slots to rows {@code firstRow ...}; their handles go to {@code out} from {@code from} on.
   */
  void allocate(int firstRow, int count, long[] out, int from) {
    lock.lock();
    try {
      for (int i = 0; i < count; i++) {
        int slot;
        if (head != END) {
          slot = head;
          int next = rows.get(slot);
          head = next == END ? END : -2 - next;
          if (head == END) {
            tail = END;
          }
          free--;
        } else {
          slot = slots++;
          generations.set(slot, firstGeneration);
        }
        rows.set(slot, firstRow + i);
        out[from + i] = HandleBits.of(slot, generations.get(slot));
      }
      live += count;
    } finally {
      lock.unlock();
    }
  }

  /**
   * The row of a handle, or {@link #NO_ROW} when it is stale. In a turn.
   *
   * @throws IllegalArgumentException when this index never issued it
   */
  int row(String operation, long handle) {
    int slot = HandleBits.slot(handle);
    int generation = HandleBits.generation(handle);
    if (slot >= 0 && slot < slots) {
      int row = rows.get(slot);
      int current = generations.get(slot);
      if (generation == current && row >= 0) {
        return row;
      }
      // A freed slot already carries the generation of its next vector, which is not issued yet; a
      // retired one keeps its last.
      int limit = row >= 0 || current == LAST_GENERATION && row == NO_ROW ? current : current - 1;
      boolean below = Integer.compareUnsigned(generation, limit) <= 0;
      if (below && Integer.compareUnsigned(generation, firstGeneration) >= 0) {
        return NO_ROW;
      }
    }
    throw new IllegalArgumentException(
        "%s: handle [%s] was never issued by this index"
            .formatted(operation, new VectorHandle(handle)));
  }

  /**
   * Refuses a set with a handle that this index never issued. Any thread.
   *
   * @throws IllegalArgumentException naming the handle
   */
  public void checkIssued(String operation, SortedHandles handles) {
    if (handles.isKnownTo(this)) {
      return; // once issued, issued for good
    }
    long[] bits = handles.sortedBits();
    for (int from = 0; from < bits.length; from += CHUNK) {
      lock.lock();
      try {
        for (int i = from; i < Math.min(bits.length, from + CHUNK); i++) {
          row(operation, bits[i]);
        }
      } finally {
        lock.unlock();
      }
    }
    handles.setKnownTo(this);
  }

  /** Frees the slots of live handles. */
  void free(long[] handles, int count) {
    lock.lock();
    try {
      for (int i = 0; i < count; i++) {
        freeOne(HandleBits.slot(handles[i]));
      }
    } finally {
      lock.unlock();
    }
  }

  private void freeOne(int slot) {
    live--;
    int generation = generations.get(slot);
    if (generation == LAST_GENERATION) {
      rows.set(slot, NO_ROW); // retired
      return;
    }
    generations.set(slot, generation + 1);
    rows.set(slot, END);
    if (tail == END) {
      head = slot;
    } else {
      rows.set(tail, -2 - slot);
    }
    tail = slot;
    free++;
  }

  /** Whether a live handle has a successor in its slot. */
  boolean canRenew(long handle) {
    return HandleBits.generation(handle) != LAST_GENERATION;
  }

  /** Raises the generation of a live slot in place and answers its new handle. */
  long renew(long handle) {
    lock.lock();
    try {
      int slot = HandleBits.slot(handle);
      int generation = generations.get(slot) + 1;
      generations.set(slot, generation);
      return HandleBits.of(slot, generation);
    } finally {
      lock.unlock();
    }
  }

  /**
   * Points a live slot at another row. In a turn, during compaction. Without the lock: what other
   * threads ask is whether a slot has a row, and this one has before and after.
   */
  void move(int slot, int row) {
    rows.set(slot, row);
  }

  long handleOf(int slot) {
    return HandleBits.of(slot, generations.get(slot));
  }

  int live() {
    return live;
  }

  public int slots() {
    return slots;
  }

  long bytes() {
    return generations.bytes() + rows.bytes();
  }

  /**
   * The live handles that pass {@code keep}, which runs on the calling thread without the lock.
   * Each handle is judged as of one moment during the call; vectors added meanwhile may or may not
   * be judged. Ends even when they come faster than they are judged.
   */
  public SortedHandles select(LongPredicate keep) {
    LongColumn kept = new LongColumn();
    long[] chunk = new long[CHUNK];
    int slot = 0;
    int last = -1;
    while (true) {
      int found = 0;
      lock.lock();
      try {
        if (last < 0) {
          last = slots;
        }
        if (slot >= last) {
          return SortedHandles.ofSorted(kept.toArray());
        }
        int end = Math.min(last, slot + CHUNK);
        for (; slot < end; slot++) {
          if (rows.get(slot) >= 0) {
            chunk[found++] = HandleBits.of(slot, generations.get(slot));
          }
        }
      } finally {
        lock.unlock();
      }
      for (int i = 0; i < found; i++) {
        if (keep.test(chunk[i])) {
          kept.add(chunk[i]);
        }
      }
    }
  }
}
