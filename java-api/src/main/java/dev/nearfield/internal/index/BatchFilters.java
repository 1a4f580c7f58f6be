// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.internal.engine.Engine.RowFilter;
import dev.nearfield.internal.turn.Scratch;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The filters of one device call, each once.
 *
 * @param ofQuery a 32-bit number per query, -1 for none; null: no query has a filter
 */
record BatchFilters(List<RowFilter> filters, @Nullable MemorySegment ofQuery) {
  private static final BatchFilters NONE = new BatchFilters(List.of(), null);

  /** Of the next {@code limit} queries of each job, {@code batch} in all. */
  static BatchFilters of(List<SearchJob> jobs, int limit, int batch, Scratch scratch) {
    if (jobs.stream().allMatch(job -> job.rows() == null)) {
      return NONE;
    }
    List<RowFilter> filters = new ArrayList<>();
    IdentityHashMap<RowFilter, Integer> numberOf = new IdentityHashMap<>();
    MemorySegment ofQuery = scratch.get(Scratch.Use.FILTER_OF_QUERY, (long) batch * Integer.BYTES);
    int at = 0;
    for (SearchJob job : jobs) {
      RowFilter rows = job.rows();
      int number = -1;
      if (rows != null) {
        number = numberOf.computeIfAbsent(rows, r -> filters.size());
        if (number == filters.size()) {
          filters.add(rows);
        }
      }
      for (int i = SearchBatch.sliceOf(job, limit); i > 0; i--) {
        ofQuery.setAtIndex(ValueLayout.JAVA_INT, at++, number);
      }
    }
    return new BatchFilters(filters, ofQuery);
  }
}
