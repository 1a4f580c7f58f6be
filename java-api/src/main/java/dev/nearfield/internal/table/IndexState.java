// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import dev.nearfield.CompactionReport;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.Scratch;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * An index as whoever has the turn sees it: rows on the device, and which slot each row belongs to.
 * Every change of the device comes first and every table is given room before it, so that a failure
 * leaves both sides as they were. Confined to turns ({@link DeviceOwner}), but for {@link
 * #slots()}, which callers may read.
 */
public final class IndexState {
  private static final int NO_SLOT = -1;

  private final Engine engine;
  private final Engine.IndexOptions options;
  private final long budget;
  private final EngineIndex rows;
  private final SlotTable slots;
  private final PagedInts slotOfRow = new PagedInts();
  private final MaskCache masks = new MaskCache();
  private int rowCount;
  private int hidden;
  private @Nullable RenumberedRows compaction;

  /** {@code budget}: bytes on the device, 0 for what the device has. */
  public IndexState(Engine engine, Engine.IndexOptions options, long budget, SlotTable slots) {
    this.engine = engine;
    this.options = options;
    this.budget = budget;
    this.slots = slots;
    long needed = options.capacity() > 0 ? engine.estimate(options).peakBytes() : 0;
    if (budget > 0 && needed > budget) {
      throw outOfMemory("build", options.capacity(), needed, budget, budget, "the budget");
    }
    this.rows = engine.createIndex(options, Engine.CallControl.NONE);
  }

  public Engine.IndexOptions options() {
    return options;
  }

  public EngineIndex rows() {
    return rows;
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

  /** Rows whose vectors were removed; rows of an insert under way are not counted. */
  public int dead() {
    return rowCount - slots.live() - hidden;
  }

  public long hostBytes() {
    return slots.bytes() + slotOfRow.bytes();
  }

  public void close() {
    endCompaction();
    rows.close();
  }

  // ---- adding

  /** Refuses what cannot fit, before anything is allocated. */
  public void checkRoom(String operation, long count) {
    long after = rowCount + count;
    if (after > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "%s: [%d] vectors to add to %d rows, an index holds at most %d"
              .formatted(operation, count, rowCount, Integer.MAX_VALUE));
    }
    Engine.Estimate estimate =
        engine.estimate(
            new Engine.IndexOptions(
                options.dim(),
                options.metric(),
                after,
                options.memoryLimitBytes(),
                options.poincareMaxNorm()));
    long held = rows.info().deviceBytes();
    if (budget > 0 && estimate.peakBytes() > budget) {
      throw outOfMemory(
          operation, count, estimate.peakBytes(), Math.max(0, budget - held), budget, "the budget");
    }
    long more = estimate.peakBytes() - held;
    long free = more > 0 ? engine.freeBytes() : -1; // a driver call, so only when the index grows
    if (free >= 0 && more > free) {
      throw outOfMemory(
          operation,
          count,
          more,
          free,
          engine.device().totalMemoryBytes(),
          engine.device().toString());
    }
  }

  private static DeviceOutOfMemoryException outOfMemory(
      String operation, long count, long requested, long free, long total, String of) {
    return new DeviceOutOfMemoryException(
        "%s: [%d] vectors bring the index to [%d] bytes, %d of %d are free on %s"
            .formatted(operation, count, requested, free, total, of),
        requested,
        free,
        total);
  }

  /** Appends vectors that searches find at once; their handles go to {@code out}. */
  public void add(MemorySegment vectors, int count, long[] out, Engine.CallControl control) {
    slots.reserve(count);
    slotOfRow.ensure((long) rowCount + count);
    int first = appended(rows.add(vectors, count, control), count);
    issue(first, count, out, 0);
  }

  /** Appends vectors that no search finds before {@link #publish}; answers their first row. */
  public int addHidden(MemorySegment vectors, int count, Engine.CallControl control) {
    slotOfRow.ensure((long) rowCount + count);
    int first = appended(rows.addHidden(vectors, count, control), count);
    for (int row = first; row < first + count; row++) {
      slotOfRow.set(row, NO_SLOT);
    }
    hidden += count;
    return first;
  }

  private int appended(long first, int count) {
    if (first != rowCount) {
      throw new IllegalStateException(
          "add: the device put row [" + first + "], [" + rowCount + "] was expected");
    }
    rowCount += count;
    return (int) first;
  }

  /** Lets searches find hidden rows, all at once. {@code first} and {@code count} are parallel. */
  public void publish(int[] first, int[] count, int ranges, long[] out, Scratch scratch) {
    int total = 0;
    for (int i = 0; i < ranges; i++) {
      total += count[i];
    }
    slots.reserve(total);
    if (ranges == 1) {
      rows.setLive(first[0], total, true, Engine.CallControl.NONE);
    } else { // in one call: all or none
      MemorySegment numbers = scratch.get(Scratch.Use.ROWS, (long) total * Long.BYTES);
      int n = 0;
      for (int i = 0; i < ranges; i++) {
        for (int row = first[i]; row < first[i] + count[i]; row++) {
          numbers.setAtIndex(ValueLayout.JAVA_LONG, n++, row);
        }
      }
      rows.setLive(numbers, total, true, Engine.CallControl.NONE);
    }
    hidden -= total;
    int at = 0;
    for (int i = 0; i < ranges; i++) {
      issue(first[i], count[i], out, at);
      at += count[i];
    }
  }

  /** Leaves hidden rows to the next compaction. */
  public void discard(int count) {
    hidden -= count;
  }

  private void issue(int first, int count, long[] out, int at) {
    slots.allocate(first, count, out, at);
    for (int i = 0; i < count; i++) {
      slotOfRow.set(first + i, HandleBits.slot(out[at + i]));
    }
  }

  private static MemorySegment range(int first, int count, Scratch scratch) {
    MemorySegment numbers = scratch.get(Scratch.Use.ROWS, (long) count * Long.BYTES);
    for (int i = 0; i < count; i++) {
      numbers.setAtIndex(ValueLayout.JAVA_LONG, i, first + i);
    }
    return numbers;
  }

  // ---- one vector, or many by handle

  /**
   * Removes the vectors of those handles that are not stale, duplicates counting once; answers how
   * many.
   *
   * @throws IllegalArgumentException when one was never issued; then none is removed
   */
  public int remove(String operation, long[] handles, Scratch scratch, Engine.CallControl control) {
    long[] found = new long[handles.length];
    int count = 0;
    for (long handle : handles) {
      if (slots.row(operation, handle) != SlotTable.NO_ROW) {
        found[count++] = handle;
      }
    }
    if (count > 1) {
      Arrays.sort(found, 0, count);
      int unique = 1;
      for (int i = 1; i < count; i++) {
        if (found[i] != found[i - 1]) {
          found[unique++] = found[i];
        }
      }
      count = unique;
    }
    if (count == 0) {
      return 0;
    }
    MemorySegment numbers = scratch.get(Scratch.Use.ROWS, (long) count * Long.BYTES);
    for (int i = 0; i < count; i++) {
      numbers.setAtIndex(ValueLayout.JAVA_LONG, i, slots.row(operation, found[i]));
    }
    rows.setLive(numbers, count, false, control);
    for (int i = 0; i < count; i++) {
      slotOfRow.set(slots.row(operation, found[i]), NO_SLOT);
    }
    slots.free(found, count);
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
      rows.replace(range(row, 1, scratch), 1, values, control);
      masks.clear(); // a mask made for the old handle must not show the new vector
      added[0] = slots.renew(handle);
      return added;
    }
    checkRoom(operation, 1); // the slot's last generation is used up: to another slot and row
    add(values, 1, added, control);
    remove(operation, new long[] {handle}, scratch, Engine.CallControl.NONE);
    return added;
  }

  public float @Nullable [] get(
      String operation, long handle, Scratch scratch, Engine.CallControl control) {
    int row = slots.row(operation, handle);
    if (row == SlotTable.NO_ROW) {
      return null;
    }
    MemorySegment values = scratch.get(Scratch.Use.VECTORS, (long) dim() * Float.BYTES);
    rows.read(range(row, 1, scratch), 1, values, control);
    float[] vector = new float[dim()];
    MemorySegment.copy(values, ValueLayout.JAVA_FLOAT, 0, vector, 0, vector.length);
    return vector;
  }

  // ---- searching

  public Engine.RowFilter mask(SortedHandles handles, boolean keep) {
    return masks.get(handles, slots, rowCount, keep);
  }

  public long handleOfRow(long row) {
    int slot = slotOfRow.get((int) row);
    if (slot == NO_SLOT) {
      throw new IllegalStateException(
          "search: the device answered row [" + row + "], which is not live");
    }
    return slots.handleOf(slot);
  }

  // ---- moving to another device

  public int rowCount() {
    return rowCount;
  }

  /**
   * Reads the live rows from {@code from} on until {@code to} is full; answers the row to go on
   * with.
   */
  public int readLive(int from, LiveRows to, Scratch scratch) {
    MemorySegment numbers = scratch.get(Scratch.Use.ROWS, (long) to.slots.length * Long.BYTES);
    to.count = 0;
    int row = from;
    for (; row < rowCount && to.count < to.slots.length; row++) {
      int slot = slotOfRow.get(row);
      if (slot != NO_SLOT) {
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
    slotOfRow.ensure((long) rowCount + from.count);
    MemorySegment values =
        scratch.get(Scratch.Use.VECTORS, (long) from.count * dim() * Float.BYTES);
    MemorySegment.copy(from.vectors, 0, values, ValueLayout.JAVA_FLOAT, 0, from.count * dim());
    int first = appended(rows.add(values, from.count, Engine.CallControl.NONE), from.count);
    for (int i = 0; i < from.count; i++) {
      slotOfRow.set(first + i, from.slots[i]);
    }
  }

  /** Points the slots of all adopted vectors at their rows here. */
  public void claimSlots() {
    for (int row = 0; row < rowCount; row++) {
      slots.move(slotOfRow.get(row), row);
    }
  }

  // ---- compaction

  public boolean compacting() {
    return compaction != null;
  }

  public void beginCompaction() {
    compaction = new RenumberedRows();
  }

  public void endCompaction() {
    RenumberedRows ended = compaction;
    if (ended != null) {
      ended.close();
      compaction = null;
    }
  }

  /**
   * One slice; answers the report after the last. Rows may come, go and be searched between slices.
   */
  @Nullable
  public CompactionReport compactStep(long budgetNanos, Engine.CallControl control) {
    RenumberedRows running = compaction;
    if (running == null) {
      throw new IllegalStateException("compact: not begun");
    }
    MemorySegment newRow = running.room(rowCount);
    long position = running.position();
    MemorySegment window = newRow.asSlice(position * Long.BYTES);
    EngineIndex.Compacted step =
        rows.compactStep(window, rowCount - position, position, budgetNanos, control);
    if (step.firstRow() != position) { // it began anew, and only these numbers count
      MemorySegment.copy(window, 0, newRow, 0, step.position() * Long.BYTES);
    }
    running.position(step.position());
    if (!step.done()) {
      return null;
    }
    int kept = 0;
    int moved = 0;
    for (int row = 0; row < rowCount; row++) {
      int to = (int) newRow.getAtIndex(ValueLayout.JAVA_LONG, row);
      if (to >= 0) {
        int slot =
            slotOfRow.get(row); // order is kept, so `to` <= row and nothing unread is overwritten
        slotOfRow.set(to, slot);
        if (slot != NO_SLOT && to != row) {
          slots.move(slot, to);
          moved++;
        }
        kept++;
      }
    }
    CompactionReport report = new CompactionReport(rowCount - kept, moved, running.elapsed());
    rowCount = kept;
    masks.clear();
    endCompaction();
    return report;
  }
}
