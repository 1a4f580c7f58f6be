// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.internal.engine.Engine;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.WeakReference;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class RowMaskTest {
  private static final int COUNT = 1000;

  private final SlotTable slots = new SlotTable(3, 64);
  private final long[] handles = fill(slots);

  private static long[] fill(SlotTable slots) {
    long[] handles = new long[COUNT];
    for (int row = 0; row < COUNT; row += 50) {
      slots.reserve(row, 50, false);
      slots.allocate(row, 50, handles, row, false);
    }
    return handles;
  }

  private SortedHandles first(int count) {
    return SortedHandles.ofBits(Arrays.copyOf(handles, count));
  }

  @Test
  void aSetKeepsItsMaskAndThePassingOneOfASearchIsNot() {
    SortedHandles set = first(500);
    RowMask mask = RowMask.of(slots, set, true);
    assertSame(mask, RowMask.of(slots, set, true));
    Engine.RowFilter.Bits bits = assertInstanceOf(Engine.RowFilter.Bits.class, mask.rows());
    assertTrue(bits.words().isNative(), "nothing is copied for a search");
    SortedHandles once = first(500);
    RowMask.of(slots, once, false);
    assertNull(once.mask());
    assertTrue(slots.largestStep() <= 64);
  }

  @Test
  void aHandleNeverIssuedIsRefused() {
    SortedHandles guessed = SortedHandles.ofBits(new long[] {handles[0], handles[1] + 1});
    assertThrows(IllegalArgumentException.class, () -> RowMask.of(slots, guessed, true));
    assertNull(guessed.mask());
  }

  @Test
  void renewedRowsAreTakenOutOfWordsAndLists() {
    RowMask words = RowMask.of(slots, first(500), true);
    RowMask list = RowMask.of(slots, first(10), true);
    assertInstanceOf(Engine.RowFilter.Rows.class, list.rows());
    slots.renew(handles[4]);
    slots.renew(handles[7]);
    slots.renew(handles[600]);
    assertTrue(slots.refresh(words));
    assertTrue(slots.refresh(list));
    MemorySegment memory = ((Engine.RowFilter.Bits) words.rows()).words();
    assertEquals(~0b1001_0000, memory.getAtIndex(ValueLayout.JAVA_INT, 0));
    Engine.RowFilter.Rows rows = (Engine.RowFilter.Rows) list.rows();
    assertEquals(8, rows.count());
    long[] left = new long[8];
    MemorySegment.copy(rows.rows(), ValueLayout.JAVA_LONG, 0, left, 0, 8);
    assertEquals("[0, 1, 2, 3, 5, 6, 8, 9]", Arrays.toString(left));
  }

  @Test
  void moreRenewalsThanAreRememberedMakeAMaskStale() {
    SortedHandles set = first(500);
    RowMask mask = RowMask.of(slots, set, true);
    long handle = handles[4];
    for (int i = 0; i < Renewals.KEPT; i++) {
      handle = slots.renew(handle);
    }
    assertTrue(slots.isUsable(mask));
    slots.renew(handle);
    assertFalse(slots.isUsable(mask));
    assertFalse(slots.refresh(mask));
    assertNotSame(mask, RowMask.of(slots, set, true));
  }

  /** Whose rows are replaced between any two steps, so often, and at first those of the set. */
  private RowLookup disturbed(int count, int renewals) {
    long[] rest = Arrays.copyOfRange(handles, count, COUNT);
    return new RowLookup(slots, Arrays.copyOf(handles, count)) {
      private boolean begun;

      @Override
      boolean next() {
        boolean more = super.next();
        if (!begun) {
          begun = true;
          slots.renew(handles[4]);
          slots.renew(handles[count - 1]);
        }
        for (int i = 0; more && i < renewals; i++) {
          rest[i % rest.length] = slots.renew(rest[i % rest.length]);
        }
        return more;
      }
    };
  }

  @Test
  void aMaskIsMadeAlthoughMoreIsReplacedMeanwhileThanIsRemembered() {
    RowMask mask = RowMask.make(disturbed(500, Renewals.KEPT - 2), true);
    assertTrue(slots.refresh(mask));
    MemorySegment words = ((Engine.RowFilter.Bits) mask.rows()).words();
    for (int row = 0; row < COUNT; row++) {
      int bit = words.getAtIndex(ValueLayout.JAVA_INT, row >>> 5) >>> (row & 31) & 1;
      assertEquals(row < 499 && row != 4 ? 1 : 0, bit, "row " + row);
    }
    assertNull(RowMask.make(disturbed(500, Renewals.KEPT + 1), true), "all within one step");
  }

  @Test
  void aListIsMadeAlthoughRowsAreReplacedMeanwhile() {
    SlotTable tiny = new SlotTable(3, 2); // rows of the list are looked up in steps of two
    long[] all = fill(tiny);
    RowLookup lookup =
        new RowLookup(tiny, Arrays.copyOf(all, 10)) {
          private int steps;

          @Override
          boolean next() {
            boolean more = super.next();
            if (++steps == 3) {
              tiny.renew(all[1]);
              tiny.renew(all[5]);
              tiny.renew(all[8]);
            }
            return more;
          }
        };
    RowMask mask = RowMask.make(lookup, false);
    assertTrue(tiny.refresh(mask));
    Engine.RowFilter.Rows rows = assertInstanceOf(Engine.RowFilter.Rows.class, mask.rows());
    long[] left = new long[(int) rows.count()];
    MemorySegment.copy(rows.rows(), ValueLayout.JAVA_LONG, 0, left, 0, left.length);
    assertEquals("[0, 2, 3, 4, 6, 7, 9]", Arrays.toString(left));
  }

  @Test
  void theMaskOfOneIndexIsNoneForAnother() {
    SlotTable other = new SlotTable(3, 64);
    fill(other);
    SortedHandles set = first(500);
    RowMask mask = RowMask.of(slots, set, true);
    RowMask theirs = RowMask.of(other, set, true);
    assertNotSame(mask, theirs);
    assertTrue(slots.refresh(mask), "a search that has it goes on with it");
    assertTrue(other.refresh(theirs));
  }

  @Test
  void aSetKeepsNoTableAlive() throws Exception {
    SortedHandles set = first(500);
    WeakReference<SlotTable> table = maskedBy(set);
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (table.get() != null) {
      assertTrue(System.nanoTime() < end, "the table is reachable from the set");
      System.gc();
      Thread.sleep(5);
    }
    assertEquals(500, set.size());
  }

  private static WeakReference<SlotTable> maskedBy(SortedHandles set) {
    SlotTable table = new SlotTable(3, 64);
    fill(table);
    table.checkIssued("test", set);
    RowMask.of(table, set, true);
    return new WeakReference<>(table);
  }
}
