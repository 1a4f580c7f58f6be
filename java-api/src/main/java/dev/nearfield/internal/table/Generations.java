// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

/**
 * The generation that each slot has, or will have with its next vector: 32 bits unsigned, rising.
 * Guarded as the {@link SlotTable} it belongs to.
 */
final class Generations {
  private static final int LAST = -1; // 2^32 - 1 unsigned

  private final PagedInts ofSlot = new PagedInts();
  private final int first;

  /** {@code first}: of every slot. */
  Generations(int first) {
    this.first = first;
  }

  void ensure(long slots) {
    ofSlot.ensure(slots);
  }

  void begin(int slot) {
    ofSlot.set(slot, first);
  }

  int get(int slot) {
    return ofSlot.get(slot);
  }

  long handle(int slot) {
    return HandleBits.of(slot, ofSlot.get(slot));
  }

  static boolean isLast(int generation) {
    return generation == LAST;
  }

  /** Goes to the next one; false when this was the last. */
  boolean raise(int slot) {
    int generation = ofSlot.get(slot);
    if (isLast(generation)) {
      return false;
    }
    ofSlot.set(slot, generation + 1);
    return true;
  }

  /** Whether the slot has had a generation before. */
  boolean isPast(int slot, int generation) {
    return Integer.compareUnsigned(generation, ofSlot.get(slot)) < 0
        && Integer.compareUnsigned(generation, first) >= 0;
  }

  long bytes() {
    return ofSlot.bytes();
  }
}
