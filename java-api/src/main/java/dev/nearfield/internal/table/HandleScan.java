// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import java.util.function.LongPredicate;

/** Goes through the live handles of a table, a step at a time. Any thread. */
final class HandleScan {
  private HandleScan() {}

  /** Those that pass {@code keep}, which runs on this thread while nothing is locked. */
  static SortedHandles select(SlotTable slots, LongPredicate keep) {
    int last = slots.slotsNow(); // ends even when vectors come faster than they are judged
    LongColumn kept = new LongColumn();
    long[] chunk = new long[Math.min(slots.step(), last)]; // none larger than it need be
    for (int slot = 0; slot < last; slot += chunk.length) {
      int found = slots.live(slot, Math.min(last, slot + chunk.length), chunk);
      for (int i = 0; i < found; i++) {
        if (keep.test(chunk[i])) {
          kept.add(chunk[i]);
        }
      }
    }
    return SortedHandles.ofSorted(kept.toArray());
  }
}
