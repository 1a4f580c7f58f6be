// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import java.util.concurrent.atomic.AtomicLong;

/**
 * Which numbers the rows of a table have, and which rows got other handles: what tells whether a
 * {@link RowMask} is right. Guarded as the {@link SlotTable} it belongs to.
 */
final class RowNumbers {
  private static final AtomicLong NEXT_TABLE = new AtomicLong();

  private final long table = NEXT_TABLE.getAndIncrement();
  private final Renewals renewals = new Renewals();
  private long numbering; // raised when rows get other numbers
  private int limit; // above every row that a slot carries

  /** What no other table has; for those who must not keep the table alive. */
  long table() {
    return table;
  }

  /** There are rows up to here. */
  void reach(int rows) {
    limit = Math.max(limit, rows);
  }

  /** All rows have other numbers, below {@code rows}. */
  void changed(int rows) {
    numbering++;
    limit = rows;
  }

  void renewed(int row) {
    renewals.add(row);
  }

  RowMask.Moment now() {
    return new RowMask.Moment(table, numbering, renewals.count(), limit);
  }

  boolean isSince(RowMask.Moment moment) {
    return moment.numbering() == numbering;
  }

  /** How many rows have got another handle, each as often as it has. */
  long renewals() {
    return renewals.count();
  }

  /** Whether all after the first {@code seen} are remembered. */
  boolean remembers(long seen) {
    return renewals.remembers(seen);
  }

  int[] renewedSince(long seen) {
    return renewals.since(seen);
  }

  boolean covers(RowMask mask) {
    return mask.made().table() == table && isSince(mask.made()) && remembers(mask.renewalsSeen());
  }

  /** Takes the rows that got other handles out of a mask that is covered. */
  void update(RowMask mask) {
    if (mask.renewalsSeen() != renewals()) {
      mask.takeOut(renewedSince(mask.renewalsSeen()), renewals());
    }
  }
}
