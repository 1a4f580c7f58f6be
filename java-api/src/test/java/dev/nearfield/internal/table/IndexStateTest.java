// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.Metric;
import dev.nearfield.Seed;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.plain.JavaEngine;
import dev.nearfield.internal.turn.Scratch;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Everything that changes rows, step by step and in any order, against a map. */
class IndexStateTest {
  private static final Engine.CallControl NONE = Engine.CallControl.NONE;
  private static final Engine.IndexOptions LINE =
      new Engine.IndexOptions(1, Metric.L2_SQUARED, 0, 0, 0);

  @Test
  void randomStepsAgreeWithAMap() {
    Seed seed = new Seed("IndexStateTest#randomStepsAgreeWithAMap");
    int swaps = 0;
    for (int round = 0; round < 40; round++) {
      Random random = seed.random(round);
      try {
        swaps += new Run(random).run(600);
      } catch (RuntimeException | AssertionError e) {
        throw new AssertionError("round " + round + ", " + seed, e);
      }
    }
    assertTrue(swaps > 80, "too few compactions came to their end, " + seed);
  }

  /** A large insert. */
  private static final class Insert {
    final List<long[]> handles = new ArrayList<>();
    final List<float[]> values = new ArrayList<>();
    final List<Integer> first = new ArrayList<>();
  }

  /** A set of handles with the mask made for it, as of any time before. */
  private static final class Masked {
    final SortedHandles set;
    RowMask mask;
    final Set<Long> handles = new HashSet<>();

    Masked(SlotTable slots, long[] bits) {
      for (long handle : bits) {
        handles.add(handle);
      }
      set = SortedHandles.ofBits(bits);
      mask = RowMask.of(slots, set, true);
    }
  }

  private static final class Run {
    final Random random;
    final int step;
    final SlotTable slots;
    final IndexState state;
    final Scratch scratch = new Scratch();
    final Map<Long, Float> live = new HashMap<>();
    final List<Long> stale = new ArrayList<>();
    final List<Insert> inserts = new ArrayList<>();
    final List<Masked> masks = new ArrayList<>();
    float next;
    int swaps;

    Run(Random random) {
      this.random = random;
      this.step = 1 + random.nextInt(20);
      // Now and then some slots are retired.
      this.slots = new SlotTable(random.nextInt(4) == 0 ? -4 : 5, step);
      this.state = new IndexState(new JavaEngine(), LINE, 0, slots);
    }

    /** Answers how many compactions came to their end. */
    int run(int operations) {
      for (int i = 0; i < operations; i++) {
        switch (random.nextInt(17)) {
          case 0, 1 -> add();
          case 2 -> hide();
          case 3, 4 -> endInsert();
          case 5 -> remove();
          case 6 -> replace();
          case 7, 8, 9, 13, 14, 15, 16 -> compact();
          case 10 -> {
            if (state.renumbering()) {
              state.renumberStep();
            }
          }
          case 11 -> mask();
          default -> check();
        }
      }
      check();
      assertTrue(slots.largestStep() <= step, slots.largestStep() + " at once, not " + step);
      return swaps;
    }

    private MemorySegment values(float[] values) {
      for (int i = 0; i < values.length; i++) {
        values[i] = next++;
      }
      return MemorySegment.ofArray(values);
    }

    private void add() {
      if (live.size() > 120) {
        return;
      }
      float[] values = new float[1 + random.nextInt(step)];
      long[] handles = new long[values.length];
      state.add(values(values), values.length, handles, NONE);
      for (int i = 0; i < values.length; i++) {
        assertNull(live.put(handles[i], values[i]), "issued twice");
      }
    }

    private void hide() {
      if (state.compacting() || live.size() > 120) {
        return;
      }
      if (inserts.isEmpty() || inserts.size() < 3 && random.nextInt(3) == 0) {
        inserts.add(new Insert());
      }
      Insert insert = inserts.get(random.nextInt(inserts.size()));
      float[] values = new float[1 + random.nextInt(step)];
      long[] handles = new long[values.length + 2];
      insert.first.add(state.addHidden(values(values), values.length, handles, 2));
      insert.handles.add(java.util.Arrays.copyOfRange(handles, 2, handles.length));
      insert.values.add(values);
    }

    private void endInsert() {
      if (inserts.isEmpty()) {
        return;
      }
      Insert insert = inserts.remove(random.nextInt(inserts.size()));
      int[] first = insert.first.stream().mapToInt(i -> i).toArray();
      int[] count = insert.values.stream().mapToInt(v -> v.length).toArray();
      if (random.nextInt(3) == 0) {
        for (int i = 0; i < first.length; i++) {
          state.withdraw(first[i], count[i]);
        }
        return;
      }
      for (int i = 0; i < first.length; i++) {
        state.reveal(first[i], count[i], true);
      }
      state.publish(first, count, first.length);
      for (int i = 0; i < first.length; i++) {
        for (int j = 0; j < count[i]; j++) {
          assertNull(live.put(insert.handles.get(i)[j], insert.values.get(i)[j]), "issued twice");
        }
      }
    }

    private long[] some(int most) {
      List<Long> all = new ArrayList<>(live.keySet());
      all.addAll(stale);
      java.util.Collections.shuffle(all, random);
      return all.stream().limit(most).mapToLong(h -> h).toArray();
    }

    private void remove() {
      long[] some = some(step);
      int expected = 0;
      for (long handle : some) {
        if (live.remove(handle) != null) {
          stale.add(handle);
          expected++;
        }
      }
      assertEquals(expected, state.remove("test", some, 0, some.length, scratch, NONE));
    }

    private void replace() {
      if (!live.isEmpty()) {
        long old = live.keySet().iterator().next();
        float[] value = {next++};
        long handle = state.replace("test", old, value, scratch, NONE)[0];
        live.remove(old);
        stale.add(old);
        assertNull(live.put(handle, value[0]), "issued twice");
      }
    }

    private void compact() {
      if (!state.compacting()) {
        if (state.renumbering() || !inserts.isEmpty()) {
          return;
        }
        state.beginCompaction();
      }
      if (random.nextInt(60) == 0) {
        state.endCompaction(); // given up: the device begins anew at the next one
        return;
      }
      swaps += state.compactStep(0, scratch, NONE) == null ? 0 : 1;
    }

    private void mask() {
      masks.add(new Masked(slots, some(1 + random.nextInt(60))));
      if (masks.size() > 5) {
        masks.remove(random.nextInt(masks.size()));
      }
    }

    private void check() {
      assertEquals(live.size(), state.live());
      assertEquals(live.size(), state.rows().info().liveRows());
      int hidden = 0;
      for (Insert insert : inserts) {
        for (long[] handles : insert.handles) {
          hidden += handles.length;
          for (long handle : handles) {
            assertThrows(IllegalArgumentException.class, () -> slots.row("test", handle));
          }
        }
      }
      assertEquals(state.rowCount() - live.size() - hidden, state.dead());
      live.forEach(
          (handle, value) -> {
            assertEquals(value, state.get("test", handle, scratch, NONE)[0]);
            assertEquals(handle, state.handleOfRow(slots.row("test", handle)));
          });
      for (long handle : stale) {
        assertEquals(SlotTable.NO_ROW, slots.row("test", handle));
      }
      Set<Long> seen = new HashSet<>();
      slots.select(seen::add);
      assertEquals(live.keySet(), seen);
      masks.forEach(this::check);
      if (inserts.isEmpty()) {
        checkDeadRowsHaveNoSlot();
      }
    }

    /** What a move would carry. */
    private void checkDeadRowsHaveNoSlot() {
      LiveRows chunk = new LiveRows(step, 1);
      int rows = 0;
      for (int row = 0; row < state.rowCount(); ) {
        row = state.readLive(row, chunk, scratch);
        for (int i = 0; i < chunk.count; i++) {
          assertEquals(chunk.vectors[i], live.get(slots.handleOf(chunk.slots[i])));
        }
        rows += chunk.count;
      }
      assertEquals(live.size(), rows);
    }

    private void check(Masked masked) {
      if (!slots.refresh(masked.mask)) {
        masked.mask = RowMask.of(slots, masked.set, true);
        assertTrue(slots.refresh(masked.mask));
      }
      Set<Long> rows = rows(masked.mask.rows());
      live.keySet()
          .forEach(
              handle ->
                  assertEquals(
                      masked.handles.contains(handle),
                      rows.contains((long) slots.row("test", handle))));
    }

    private static Set<Long> rows(Engine.RowFilter filter) {
      Set<Long> rows = new HashSet<>();
      switch (filter) {
        case Engine.RowFilter.Bits(MemorySegment words, long count) -> {
          for (long row = 0; row < count * 32; row++) {
            if ((words.getAtIndex(ValueLayout.JAVA_INT, row >>> 5) & 1 << (row & 31)) != 0) {
              rows.add(row);
            }
          }
        }
        case Engine.RowFilter.Rows(MemorySegment list, long count) -> {
          long last = -1;
          for (long i = 0; i < count; i++) {
            long row = list.getAtIndex(ValueLayout.JAVA_LONG, i);
            assertTrue(row > last, "ascending and unique");
            last = row;
            rows.add(row);
          }
        }
      }
      return rows;
    }
  }

  @Test
  void aMoveClaimsItsSlotsInSteps() {
    SlotTable slots = new SlotTable(0, 16);
    IndexState from = new IndexState(new JavaEngine(), LINE, 0, slots);
    Scratch scratch = new Scratch();
    long[] handles = new long[100];
    for (int i = 0; i < 100; i++) {
      long[] out = new long[1];
      from.add(MemorySegment.ofArray(new float[] {i}), 1, out, NONE);
      handles[i] = out[0];
    }
    for (int i = 0; i < 50; i += 16) {
      from.remove("test", handles, i, Math.min(50, i + 16), scratch, NONE);
    }
    IndexState to = new IndexState(new JavaEngine(), LINE, 0, slots);
    LiveRows chunk = new LiveRows(slots.chunkRows(1), 1);
    int row = 0;
    while (row < from.rowCount()) {
      int end = from.readLive(row, chunk, scratch);
      assertTrue(end - row <= 16, "dead rows are passed in steps, too");
      row = end;
      to.adopt(chunk, scratch);
    }
    RowMask before = RowMask.of(slots, SortedHandles.ofBits(handles.clone()), true);
    int steps = 1;
    while (!to.claimSlots()) {
      steps++;
    }
    assertEquals(4, steps);
    assertFalse(slots.refresh(before), "it shows the rows of the other device");
    for (int i = 50; i < 100; i++) {
      assertEquals(i, to.get("test", handles[i], scratch, NONE)[0]);
    }
    assertEquals(16, slots.largestStep());
  }
}
