// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.HandleSet;
import dev.nearfield.VectorHandle;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class SlotTableTest {
  private static long add(SlotTable table, int row) {
    long[] out = new long[1];
    table.reserve(row, 1, false);
    table.allocate(row, 1, out, 0, false);
    return out[0];
  }

  private static void free(SlotTable table, long handle) {
    table.free(new long[] {handle}, 1);
  }

  @Test
  void slotsAreReusedFirstInFirstOutUnderTheNextGeneration() {
    SlotTable table = new SlotTable(7);
    long a = add(table, 0);
    long b = add(table, 1);
    assertEquals(HandleBits.of(0, 7), a);
    assertEquals(HandleBits.of(1, 7), b);
    free(table, b);
    free(table, a);
    assertEquals(HandleBits.of(1, 8), add(table, 2));
    assertEquals(HandleBits.of(0, 8), add(table, 3));
    assertEquals(HandleBits.of(2, 7), add(table, 4));
    assertEquals(3, table.slots());
    assertEquals(3, table.live());
  }

  @Test
  void staleAndNeverIssuedAreToldApart() {
    SlotTable table = new SlotTable(7);
    long a = add(table, 0);
    assertEquals(0, table.row("test", a));
    free(table, a);
    assertEquals(SlotTable.NO_ROW, table.row("test", a));
    assertThrows(
        IllegalArgumentException.class,
        () -> table.row("test", HandleBits.of(0, 8)),
        "not issued yet");
    assertThrows(
        IllegalArgumentException.class,
        () -> table.row("test", HandleBits.of(0, 6)),
        "before the first");
    assertThrows(
        IllegalArgumentException.class,
        () -> table.row("test", HandleBits.of(1, 7)),
        "no such slot");
    assertThrows(
        IllegalArgumentException.class,
        () -> table.row("test", HandleBits.of(-1, 7)),
        "slot beyond 2^31");
    long b = add(table, 5);
    assertEquals(5, table.row("test", b));
    assertEquals(SlotTable.NO_ROW, table.row("test", a));
    assertThrows(IllegalArgumentException.class, () -> table.row("test", HandleBits.of(0, 9)));
  }

  @Test
  void aSlotWithoutGenerationsIsRetired() {
    SlotTable table = new SlotTable(-2); // 2^32 - 2: two generations are left
    long a = add(table, 0);
    free(table, a);
    long b = add(table, 1);
    assertEquals(HandleBits.of(0, -1), b);
    assertFalse(table.canRenew(b));
    free(table, b);
    assertEquals(SlotTable.NO_ROW, table.row("test", a));
    assertEquals(SlotTable.NO_ROW, table.row("test", b));
    long c = add(table, 2);
    assertEquals(1, HandleBits.slot(c), "slot 0 is not used again");
    assertEquals(2, table.slots());
    assertThrows(IllegalArgumentException.class, () -> table.row("test", HandleBits.of(0, 0)));
  }

  @Test
  void renewingMakesTheOldHandleStale() {
    SlotTable table = new SlotTable(0);
    long a = add(table, 3);
    assertTrue(table.canRenew(a));
    long b = table.renew(a);
    assertEquals(SlotTable.NO_ROW, table.row("test", a));
    assertEquals(3, table.row("test", b));
  }

  @Test
  void selectCallsBackWithoutTheLockAndSeesOnlyLiveHandles() {
    SlotTable table = new SlotTable(0);
    long[] handles = new long[40_000]; // more than two chunks
    table.reserve(0, handles.length, false);
    table.allocate(0, handles.length, handles, 0, false);
    for (int i = 0; i < handles.length; i += 3) {
      free(table, handles[i]);
    }
    Set<Long> seen = new HashSet<>();
    HandleSet chosen =
        table.select(
            bits -> {
              assertTrue(seen.add(bits));
              if (seen.size() == 1) {
                assertOthersCanUse(table, bits);
              }
              return HandleBits.slot(bits) % 2 == 0;
            });
    int live = 0;
    int even = 0;
    for (int i = 0; i < handles.length; i++) {
      boolean alive = i % 3 != 0;
      live += alive ? 1 : 0;
      even += alive && i % 2 == 0 ? 1 : 0;
      assertEquals(alive && i % 2 == 0, chosen.contains(new VectorHandle(handles[i])));
    }
    assertEquals(live, seen.size());
    assertEquals(even, chosen.size());
  }

  private static void assertOthersCanUse(SlotTable table, long issued) {
    Thread other =
        Thread.ofPlatform()
            .start(() -> table.checkIssued("test", SortedHandles.ofBits(new long[] {issued})));
    try {
      other.join(10_000);
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
    assertFalse(other.isAlive(), "the lock is held while the predicate runs");
  }

  @Test
  void randomUseAgreesWithAMap() {
    long seed = new Random().nextLong();
    System.out.println("SlotTableTest.randomUseAgreesWithAMap: seed " + seed);
    Random random = new Random(seed);
    SlotTable table = new SlotTable(random.nextBoolean() ? -20 : 5); // some slots will be retired
    Map<Long, Integer> model = new HashMap<>();
    ArrayDeque<Long> gone = new ArrayDeque<>();
    Set<Long> issued = new HashSet<>();
    for (int step = 0; step < 20_000; step++) {
      if (random.nextInt(100) < 52 || model.isEmpty()) {
        long handle = add(table, step);
        assertTrue(issued.add(handle), "issued twice, seed " + seed);
        model.put(handle, step);
      } else {
        long handle = model.keySet().iterator().next();
        free(table, handle);
        model.remove(handle);
        gone.add(handle);
      }
      for (long stale : gone.size() > 5 ? gone.stream().limit(5).toList() : gone) {
        assertEquals(SlotTable.NO_ROW, table.row("test", stale), "seed " + seed);
      }
    }
    model.forEach((handle, row) -> assertEquals(row, table.row("test", handle), "seed " + seed));
    assertEquals(model.size(), table.live());
  }

  @Test
  void selectingEndsWhileVectorsAreAdded() {
    SlotTable table = new SlotTable(7);
    add(table, 0);
    HandleSet chosen = table.select(bits -> add(table, table.slots()) != bits);
    assertEquals(1, chosen.size());
    assertEquals(2, table.live());
  }
}
