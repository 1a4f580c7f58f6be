// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

/**
 * The rows of a set of handles, a step at a time, and which rows got other handles meanwhile: those
 * must not stay in what was looked up before. So a mask is right as of the last step, however many
 * replacements there are while it is made. Any thread without a turn.
 */
class RowLookup {
  private final SlotTable slots;
  private final long[] handles;
  private final RowMask.Moment begun;
  private final int[] rows;
  private int[] renewed = {};
  private long renewalsSeen;
  private int next;
  private int count;
  private boolean stale;

  RowLookup(SlotTable slots, long[] handles) {
    this.slots = slots;
    this.handles = handles;
    this.begun = slots.moment();
    this.renewalsSeen = begun.renewals();
    this.rows = new int[Math.min(slots.step(), handles.length)];
  }

  /** The next step; false after the last, and when the lookup is stale. */
  boolean next() {
    if (next == handles.length) {
      return false;
    }
    count = slots.rows("search", handles, next, rows, this);
    stale = count < 0;
    next += Math.max(0, count);
    return !stale;
  }

  /** Under the lock of the table; false when it is too late for that. */
  boolean catchUp(RowNumbers numbers) {
    if (!numbers.isSince(begun) || !numbers.remembers(renewalsSeen)) {
      return false;
    }
    renewed = numbers.renewedSince(renewalsSeen);
    renewalsSeen = numbers.renewals();
    return true;
  }

  /**
   * Rows have other numbers than when it began, or too many got other handles within one step: it
   * is to be begun again.
   */
  boolean isStale() {
    return stale;
  }

  RowMask.Moment begun() {
    return begun;
  }

  /** So many renewals there had been at the last step. */
  long renewalsSeen() {
    return renewalsSeen;
  }

  int handleCount() {
    return handles.length;
  }

  // ---- of the last step

  int count() {
    return count;
  }

  /** The first {@link #count} are those of handles, or {@link SlotTable#NO_ROW}. */
  int row(int i) {
    return rows[i];
  }

  /** To be taken out of the rows of the steps before. */
  int[] renewed() {
    return renewed;
  }
}
