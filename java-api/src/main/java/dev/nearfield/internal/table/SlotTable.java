// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import dev.nearfield.VectorHandle;
import dev.nearfield.internal.turn.DeviceOwner;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongPredicate;
import org.jspecify.annotations.Nullable;

/**
 * Which row a handle names. Slots are apart from rows, so rows may move; a slot is never given up,
 * its generation is raised when its vector goes, and free slots are reused first in, first out, so
 * that a stale handle meets another generation for as long as possible. A slot whose generation is
 * used up is retired. A hidden row has a slot, but its handle counts as never issued.
 *
 * <p>Written in turns only ({@link DeviceOwner}) and under the lock; turns read without it, every
 * other thread under it. It is held for a step at a time and never while user code runs.
 */
public final class SlotTable {
  static final int NO_ROW = -1;

  /**
   * Slots or rows that one step handles, in a turn or under the lock: some hundred microseconds
   * where each is a cache miss.
   */
  public static final int STEP = 1 << 14;

  private final ReentrantLock lock = new ReentrantLock();
  private final int step;
  private final Generations generations;
  private final PagedInts rows = new PagedInts();
  private final PagedBits hidden = new PagedBits(); // rows; set only while inserts are under way
  private final FreeSlots free = new FreeSlots(rows);
  private final RowNumbers numbers = new RowNumbers();
  private int slots;
  private int live;
  private @Nullable Renumbering renumbering;
  private int largestStep;

  public SlotTable(int firstGeneration) {
    this(firstGeneration, STEP);
  }

  /** {@code step}: as {@link #STEP}. */
  public SlotTable(int firstGeneration, int step) {
    this.generations = new Generations(firstGeneration);
    this.step = step;
  }

  /** Most slots or rows that one step may handle. */
  public int step() {
    return step;
  }

  /** Rows of a chunk on its way to a device. */
  public int chunkRows(int dim) {
    return Math.min(step, LiveRows.chunkRows(dim));
  }

  /** For tests: most slots or rows handled at once, ever. */
  int largestStep() {
    return largestStep;
  }

  private void lock(int work) {
    lock.lock();
    largestStep = Math.max(largestStep, work);
  }

  // ---- adding and removing

  /** Makes room so that the next {@link #allocate} of {@code count} slots cannot fail. */
  void reserve(int firstRow, int count, boolean hide) {
    lock(0);
    try {
      long needed = (long) slots + Math.max(0, count - free.count());
      generations.ensure(needed);
      rows.ensure(needed);
      if (hide) {
        hidden.ensure((long) firstRow + count);
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * Gives slots to rows {@code firstRow ...}; their handles go to {@code out} from {@code from} on.
   *
   * @param hide nobody sees the rows before {@link #publish}
   */
  void allocate(int firstRow, int count, long[] out, int from, boolean hide) {
    lock(count);
    try {
      for (int i = 0; i < count; i++) {
        int slot = free.poll();
        if (slot == FreeSlots.NONE) {
          slot = slots++;
          generations.begin(slot);
        }
        write(slot, firstRow + i);
        out[from + i] = generations.handle(slot);
      }
      numbers.reach(firstRow + count);
      if (hide) {
        hidden.set(firstRow, firstRow + count, true);
      } else {
        live += count;
      }
    } finally {
      lock.unlock();
    }
  }

  private void write(int slot, int row) {
    rows.set(slot, row);
    if (renumbering != null) {
      renumbering.written(slot);
    }
  }

  /**
   * Shows hidden rows, all at once and word by word. {@code first} and {@code count} are parallel.
   */
  void publish(int[] first, int[] count, int ranges) {
    lock(0);
    try {
      for (int i = 0; i < ranges; i++) {
        hidden.set(first[i], first[i] + count[i], false);
        live += count[i];
      }
    } finally {
      lock.unlock();
    }
  }

  /** Takes the slots of hidden rows back; their handles remain never issued. */
  void withdraw(int firstRow, int count, RowSlots of) {
    lock(count);
    try {
      for (int row = firstRow; row < firstRow + count; row++) {
        free.add(of.slot(row));
      }
      hidden.set(firstRow, firstRow + count, false);
    } finally {
      lock.unlock();
    }
  }

  /** Frees the slots of live handles. */
  void free(long[] handles, int count) {
    lock(count);
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
    if (generations.raise(slot)) {
      free.add(slot);
    } else {
      rows.set(slot, NO_ROW); // retired
    }
  }

  // ---- looking up

  /**
   * The row of a handle, or {@link #NO_ROW} when it is stale. In a turn.
   *
   * @throws IllegalArgumentException when this index never issued it
   */
  int row(String operation, long handle) {
    int slot = HandleBits.slot(handle);
    int generation = HandleBits.generation(handle);
    if (slot >= 0 && slot < slots) {
      int row = shown(slot);
      boolean current = generation == generations.get(slot);
      if (current && row >= 0) {
        return row;
      }
      // A freed slot already carries the generation of its next vector, which is not issued yet,
      // and so does that of a hidden row; a retired one keeps its last.
      if (generations.isPast(slot, generation) || current && rows.get(slot) == NO_ROW) {
        return NO_ROW;
      }
    }
    throw new IllegalArgumentException(
        "%s: handle [%s] was never issued by this index"
            .formatted(operation, new VectorHandle(handle)));
  }

  /** The row that a slot carries, or a negative number when it is free, retired or hidden. */
  private int shown(int slot) {
    int row = rows.get(slot);
    if (row < 0) {
      return row;
    }
    Renumbering running = renumbering;
    int now = running == null ? row : running.translate(slot, row);
    return hidden.get(now) ? NO_ROW : now;
  }

  /**
   * Refuses handles of which this index never issued one. Any thread.
   *
   * @throws IllegalArgumentException naming the handle
   */
  public void checkIssued(String operation, SortedHandles handles) {
    if (handles.isKnownTo(numbers.table())) {
      return; // once issued, issued for good
    }
    long[] bits = handles.sortedBits();
    int[] rowOf = new int[Math.min(step, bits.length)];
    for (int from = 0; from < bits.length; from += step) {
      rows(operation, bits, from, rowOf, null);
    }
    handles.setKnownTo(numbers.table());
  }

  /**
   * Looks up the rows of some handles from {@code from} on, as many as {@code out} takes, and
   * answers how many. Any thread.
   *
   * @param lookup is told which rows have got other handles; null: that does not matter
   * @return -1 when it is stale
   * @throws IllegalArgumentException when one was never issued
   */
  int rows(String operation, long[] handles, int from, int[] out, @Nullable RowLookup lookup) {
    int count = Math.min(out.length, handles.length - from);
    lock(count);
    try {
      if (lookup != null && !lookup.catchUp(numbers)) {
        return -1;
      }
      for (int i = 0; i < count; i++) {
        out[i] = row(operation, handles[from + i]);
      }
      return count;
    } finally {
      lock.unlock();
    }
  }

  /**
   * The live handles that pass {@code keep}, which runs on the calling thread without the lock.
   * Each handle is judged as of one moment during the call; vectors added meanwhile may or may not
   * be judged. Ends even when they come faster than they are judged.
   */
  public SortedHandles select(LongPredicate keep) {
    return HandleScan.select(this, keep);
  }

  /** The live handles of the slots {@code from ... to - 1}; answers how many. Any thread. */
  int live(int from, int to, long[] out) {
    int found = 0;
    lock(to - from);
    try {
      for (int slot = from; slot < to; slot++) {
        if (shown(slot) >= 0) {
          out[found++] = generations.handle(slot);
        }
      }
      return found;
    } finally {
      lock.unlock();
    }
  }

  /** How many slots there are. Any thread. */
  int slotsNow() {
    lock(0);
    try {
      return slots;
    } finally {
      lock.unlock();
    }
  }

  // ---- other handles, other rows

  /** Whether a live handle has a successor in its slot. */
  boolean canRenew(long handle) {
    return !Generations.isLast(HandleBits.generation(handle));
  }

  /** Raises the generation of a live slot in place and answers its new handle. */
  long renew(long handle) {
    lock(1);
    try {
      int slot = HandleBits.slot(handle);
      generations.raise(slot);
      numbers.renewed(shown(slot));
      return generations.handle(slot);
    } finally {
      lock.unlock();
    }
  }

  /** Points the slots of rows {@code firstRow ...} at those; {@link #renumbered} is to follow. */
  void move(int firstRow, int count, RowSlots of) {
    lock(count);
    try {
      for (int row = firstRow; row < firstRow + count; row++) {
        rows.set(of.slot(row), row);
      }
    } finally {
      lock.unlock();
    }
  }

  /** All slots point at the rows of another device by now, of which it has that many. */
  void renumbered(int count) {
    lock(0);
    try {
      numbers.changed(count);
    } finally {
      lock.unlock();
    }
  }

  /**
   * The rows have the numbers of a compaction from now on, and there are {@code kept}. Slots are
   * rewritten by {@link #renumberStep}, and right before and after.
   */
  void renumber(Renumbering by, int kept) {
    lock(0);
    try {
      by.begin(slots);
      renumbering = by;
      numbers.changed(kept);
    } finally {
      lock.unlock();
    }
  }

  boolean renumbering() {
    return renumbering != null;
  }

  void renumberStep() {
    lock(step);
    try {
      Renumbering running = renumbering;
      if (running != null && running.step(rows, step) == 0) {
        renumbering = null;
      }
    } finally {
      lock.unlock();
    }
  }

  // ---- masks

  /** What holds now. Any thread. */
  RowMask.Moment moment() {
    lock(0);
    try {
      return numbers.now();
    } finally {
      lock.unlock();
    }
  }

  /** Whether a mask need not be made again, as far as can be told outside turns. Any thread. */
  boolean isUsable(RowMask mask) {
    lock(0);
    try {
      return numbers.covers(mask);
    } finally {
      lock.unlock();
    }
  }

  /** Brings a mask up to date; false when it has to be made again, outside the turn. In a turn. */
  public boolean refresh(RowMask mask) {
    if (!numbers.covers(mask)) {
      return false;
    }
    numbers.update(mask);
    return true;
  }

  // ---- the rest

  long handleOf(int slot) {
    return generations.handle(slot);
  }

  int live() {
    return live;
  }

  public int slots() {
    return slots;
  }

  long bytes() {
    Renumbering running = renumbering;
    return generations.bytes()
        + rows.bytes()
        + hidden.bytes()
        + (running == null ? 0 : running.bytes());
  }
}
