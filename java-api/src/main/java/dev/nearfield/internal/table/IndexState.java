// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import dev.nearfield.CompactionReport;
import dev.nearfield.Encoding;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.engine.FitSample;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.Scratch;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * An index as whoever has the turn sees it: rows on the device, and which slot each row belongs to.
 * Every change of the device comes first and every table is given room before it, so that a failure
 * leaves both sides as they were. No call works on more than {@link SlotTable#step} rows or slots,
 * nor passes more to the device, except ranges that it takes word by word, and lists in a move.
 * Confined to turns ({@link DeviceOwner}), but for {@link #slots()}, which callers may read.
 */
public final class IndexState {
  private final Engine.IndexOptions options;
  private final RoomCheck room;
  private final EngineIndex rows;
  private final SlotTable slots;
  private final RowSlots rowSlots = new RowSlots();
  private EngineIndex.Codes codes = EngineIndex.Codes.NONE;
  private EngineIndex.ListSizes lists = EngineIndex.ListSizes.NONE;
  private long given;
  private int claimed;
  private @Nullable FitSample unfitted; // what the codes are yet to be fitted to
  private long fitPosition;
  private boolean fitted;

  /**
   * Empty, as that config makes it on that device: to be fitted ({@link #fitStep}) before anything
   * is added.
   */
  public static IndexState of(Engine engine, IndexConfig config, SlotTable slots) {
    IndexState made = new IndexState(engine, config.options(engine), config.budgetBytes(), slots);
    made.unfitted = config.sample();
    return made;
  }

  /** {@code budget}: bytes on the device, 0 for what the device has. */
  public IndexState(Engine engine, Engine.IndexOptions options, long budget, SlotTable slots) {
    this.options = options;
    this.room = new RoomCheck(engine, options, budget);
    this.slots = slots;
    room.build();
    this.rows = engine.createIndex(options, Engine.CallControl.NONE);
  }

  public Engine.IndexOptions options() {
    return options;
  }

  public Encoding encoding() {
    return options.encoding();
  }

  public EngineIndex rows() {
    return rows;
  }

  /** What the device says, now. */
  public EngineIndex.Info info() {
    EngineIndex.Info info = rows.info();
    codes = info.codes();
    lists = info.lists();
    return info;
  }

  /** As of the last {@link #info}. */
  public EngineIndex.Codes codes() {
    return codes;
  }

  /** As of the last {@link #info}. */
  public EngineIndex.ListSizes lists() {
    return lists;
  }

  /** Vectors that the device was given since the beginning, replacements included. */
  public long given() {
    return given;
  }

  public SlotTable slots() {
    return slots;
  }

  public int dim() {
    return options.dim();
  }

  public int live() {
    return slots.live();
  }

  public int rowCount() {
    return rowSlots.rows();
  }

  /** Rows whose vectors were removed; rows of an insert under way are not counted. */
  public int dead() {
    return rowSlots.rows() - slots.live() - rowSlots.hidden();
  }

  public long hostBytes() {
    return slots.bytes() + rowSlots.bytes();
  }

  public void close() {
    endCompaction();
    rows.close();
  }

  // ---- fitting codes to a sample

  /**
   * One step, about {@code budgetNanos} long, of fitting the codes to the sample of the config, if
   * there is one; answers whether nothing of it is left.
   */
  public boolean fitStep(long budgetNanos, Engine.CallControl control) {
    FitSample sample = unfitted;
    if (sample == null) {
      return true;
    }
    EngineIndex.TrainStep step = rows.trainStep(sample, fitPosition, budgetNanos, control);
    fitPosition = step.position();
    if (step.done()) {
      unfitted = null;
      fitted = true;
    }
    return step.done();
  }

  /** Whether the codes are fitted to a sample. */
  public boolean fitted() {
    return fitted;
  }

  // ---- adding

  /** Refuses what cannot fit, before anything is allocated. */
  public void checkRoom(String operation, long count) {
    checkRoom(operation, count, 0);
  }

  /** The same where {@code promised} vectors of others are still to come. */
  public void checkRoom(String operation, long count, long promised) {
    room.grow(operation, count, rowSlots.rows() + promised + count, rows.info().deviceBytes());
  }

  /** Appends vectors that searches find at once; their handles go to {@code out}. */
  public void add(MemorySegment vectors, int count, long[] out, Engine.CallControl control) {
    append(vectors, count, out, 0, false, control);
  }

  /**
   * Appends vectors that nobody finds before {@link #publish}, and answers their first row; their
   * handles go to {@code out} from {@code at} on.
   */
  public int addHidden(MemorySegment vectors, int count, long[] out, int at) {
    return append(vectors, count, out, at, true, Engine.CallControl.NONE);
  }

  private int append(
      MemorySegment vectors,
      int count,
      long[] out,
      int at,
      boolean hide,
      Engine.CallControl control) {
    slots.reserve(rowSlots.rows(), count, hide);
    rowSlots.reserve(count);
    int first = Math.toIntExact(rows.add(vectors, count, hide, control));
    given += count;
    rowSlots.appended(first, count);
    rowSlots.hide(hide ? count : 0);
    slots.allocate(first, count, out, at, hide);
    for (int i = 0; i < count; i++) {
      rowSlots.set(first + i, HandleBits.slot(out[at + i]));
    }
    return first;
  }

  /**
   * Lets the device find a range of hidden rows, or hides them again. No search is to run before
   * all that belong together are found and {@link #publish} was called.
   */
  public void reveal(int first, int count, boolean found) {
    rows.setLive(first, count, found, Engine.CallControl.NONE);
  }

  /**
   * Shows the handles of revealed rows, all at once. {@code first} and {@code count} are parallel.
   */
  public void publish(int[] first, int[] count, int ranges) {
    slots.publish(first, count, ranges);
    for (int i = 0; i < ranges; i++) {
      rowSlots.hide(-count[i]);
    }
  }

  /** Leaves hidden rows to the next compaction. */
  public void withdraw(int first, int count) {
    slots.withdraw(first, count, rowSlots);
    for (int row = first; row < first + count; row++) {
      rowSlots.clear(row);
    }
    rowSlots.hide(-count);
  }

  // ---- one vector, or some by handle

  /**
   * Removes the vectors of those handles {@code from ... to - 1} that are not stale; answers how
   * many. None comes twice.
   *
   * @throws IllegalArgumentException when one was never issued; then none is removed
   */
  public int remove(
      String operation,
      long[] handles,
      int from,
      int to,
      Scratch scratch,
      Engine.CallControl control) {
    long[] found = new long[to - from];
    MemorySegment numbers = scratch.get(Scratch.Use.ROWS, Math.max(1, to - from) * 8L);
    int count = 0;
    for (int i = from; i < to; i++) {
      int row = slots.row(operation, handles[i]);
      if (row != SlotTable.NO_ROW) {
        numbers.setAtIndex(ValueLayout.JAVA_LONG, count, row);
        found[count++] = handles[i];
      }
    }
    if (count > 0) {
      rows.setLive(numbers, count, false, control);
      for (int i = 0; i < count; i++) {
        rowSlots.clear((int) numbers.getAtIndex(ValueLayout.JAVA_LONG, i));
      }
      slots.free(found, count);
    }
    return count;
  }

  /**
   * Overwrites a vector and answers its new handle in an array of one, or null when the old one is
   * stale.
   */
  public long @Nullable [] replace(
      String operation, long handle, float[] vector, Scratch scratch, Engine.CallControl control) {
    int row = slots.row(operation, handle);
    if (row == SlotTable.NO_ROW) {
      return null;
    }
    MemorySegment values = scratch.get(Scratch.Use.VECTORS, (long) vector.length * Float.BYTES);
    MemorySegment.copy(vector, 0, values, ValueLayout.JAVA_FLOAT, 0, vector.length);
    long[] added = new long[1]; // before the device changes: from then on nothing may fail
    if (slots.canRenew(handle)) {
      rows.replace(number(row, scratch), 1, values, control);
      given++;
      added[0] = slots.renew(handle);
      return added;
    }
    checkRoom(operation, 1); // the slot's last generation is used up: to another slot and row
    add(values, 1, added, control);
    remove(operation, new long[] {handle}, 0, 1, scratch, Engine.CallControl.NONE);
    return added;
  }

  public float @Nullable [] get(
      String operation, long handle, Scratch scratch, Engine.CallControl control) {
    int row = slots.row(operation, handle);
    if (row == SlotTable.NO_ROW) {
      return null;
    }
    MemorySegment values = scratch.get(Scratch.Use.VECTORS, (long) dim() * Float.BYTES);
    rows.read(number(row, scratch), 1, values, control);
    float[] vector = new float[dim()];
    MemorySegment.copy(values, ValueLayout.JAVA_FLOAT, 0, vector, 0, vector.length);
    return vector;
  }

  private static MemorySegment number(int row, Scratch scratch) {
    MemorySegment number = scratch.get(Scratch.Use.ROWS, Long.BYTES);
    number.set(ValueLayout.JAVA_LONG, 0, row);
    return number;
  }

  public long handleOfRow(long row) {
    int slot = rowSlots.slot((int) row);
    if (slot == RowSlots.NO_SLOT) {
      throw new IllegalStateException(
          "search: the device answered row [" + row + "], which is not live");
    }
    return slots.handleOf(slot);
  }

  // ---- moving to another device

  /**
   * Reads the next live rows from {@code from} on, as many as {@code to} takes; answers the row to
   * go on with.
   */
  public int readLive(int from, LiveRows to, Scratch scratch) {
    MemorySegment numbers = scratch.get(Scratch.Use.ROWS, (long) to.slots.length * Long.BYTES);
    to.count = 0;
    int row = from;
    int end = (int) Math.min(rowSlots.rows(), (long) from + slots.step());
    for (; row < end && to.count < to.slots.length; row++) {
      int slot = rowSlots.slot(row);
      if (slot != RowSlots.NO_SLOT) {
        to.slots[to.count] = slot;
        numbers.setAtIndex(ValueLayout.JAVA_LONG, to.count++, row);
      }
    }
    if (to.count > 0) {
      MemorySegment values =
          scratch.get(Scratch.Use.VECTORS, (long) to.count * dim() * Float.BYTES);
      rows.read(numbers, to.count, values, Engine.CallControl.NONE);
      MemorySegment.copy(values, ValueLayout.JAVA_FLOAT, 0, to.vectors, 0, to.count * dim());
    }
    return row;
  }

  /** Appends vectors whose slots still point at the rows of another state. */
  public void adopt(LiveRows from, Scratch scratch) {
    if (from.count == 0) {
      return;
    }
    rowSlots.reserve(from.count);
    MemorySegment values =
        scratch.get(Scratch.Use.VECTORS, (long) from.count * dim() * Float.BYTES);
    MemorySegment.copy(from.vectors, 0, values, ValueLayout.JAVA_FLOAT, 0, from.count * dim());
    long first = rows.add(values, from.count, Engine.CallControl.NONE);
    given += from.count;
    rowSlots.appended(first, from.count);
    for (int i = 0; i < from.count; i++) {
      rowSlots.set((int) first + i, from.slots[i]);
    }
  }

  /** The lists of the live rows, one after the other as they are read; null without lists. */
  public EngineIndex.@Nullable Lists readLists() {
    EngineIndex.Lists all = rows.readLists(Engine.CallControl.NONE);
    if (all == null) {
      return null;
    }
    MemorySegment numbers = all.listOfRow();
    int kept = rowSlots.keepLive(numbers);
    return new EngineIndex.Lists(all.count(), all.centroids(), numbers, kept, all.calibration());
  }

  /** Puts the adopted vectors into the lists they were in. */
  public void writeLists(EngineIndex.Lists from) {
    rows.writeLists(from, Engine.CallControl.NONE);
    info();
  }

  /**
   * Points the slots of the next adopted vectors at their rows here; answers whether all of them
   * point here now.
   */
  public boolean claimSlots() {
    int count = Math.min(slots.step(), rowSlots.rows() - claimed);
    slots.move(claimed, count, rowSlots);
    claimed += count;
    if (claimed < rowSlots.rows()) {
      return false;
    }
    slots.renumbered(claimed);
    return true;
  }

  // ---- compaction

  public boolean compacting() {
    return rowSlots.compacting();
  }

  public void beginCompaction() {
    rowSlots.begin(new RenumberedRows());
  }

  public void endCompaction() {
    rowSlots.end();
  }

  /**
   * One step; answers the report after the last. Rows may come, go and be searched between steps.
   */
  public @Nullable CompactionReport compactStep(
      long budgetNanos, Scratch scratch, Engine.CallControl control) {
    RenumberedRows running = rowSlots.compaction();
    int window = slots.step();
    running.reserve(window, slots.slots());
    MemorySegment numbers = scratch.get(Scratch.Use.ROWS, (long) window * Long.BYTES);
    EngineIndex.CompactStep step =
        rows.compactStep(numbers, window, running.passed(), budgetNanos, control);
    rowSlots.pass(numbers, (int) step.first(), (int) step.end());
    if (!step.done()) {
      return null;
    }
    int before = rowSlots.rows();
    rowSlots.swap();
    slots.renumber(running.renumbering(), running.kept());
    return new CompactionReport(before - running.kept(), running.moved(), running.elapsed());
  }

  /** Whether slots are left to {@link #renumberStep} after a compaction; no other begins then. */
  public boolean renumbering() {
    return slots.renumbering();
  }

  public void renumberStep() {
    slots.renumberStep();
  }
}
