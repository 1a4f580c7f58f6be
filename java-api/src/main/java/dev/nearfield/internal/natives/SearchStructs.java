// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.natives;

import dev.nearfield.ffi.nearfield_h;
import dev.nearfield.ffi.nf_filter;
import dev.nearfield.ffi.nf_result;
import dev.nearfield.ffi.nf_search;
import dev.nearfield.internal.engine.Engine.RowFilter;
import dev.nearfield.internal.engine.Engine.SearchCall;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/** The structs of one batch of searches, in the memory of its {@link CallFrame}. */
final class SearchStructs {
  private final CallFrame frame;
  private final SearchCall search;
  private final int dim;

  SearchStructs(CallFrame frame, SearchCall search, int dim) {
    this.frame = frame;
    this.search = search;
    this.dim = dim;
  }

  /** {@code nf_search} with all it points to. */
  MemorySegment search() {
    MemorySegment request = frame.struct(nf_search.layout());
    nf_search.queries(request, queries());
    nf_search.result(request, result());
    List<RowFilter> filters = search.filters();
    if (!filters.isEmpty()) {
      MemorySegment pointers = frame.room(ValueLayout.ADDRESS, filters.size());
      for (int i = 0; i < filters.size(); i++) {
        pointers.setAtIndex(ValueLayout.ADDRESS, i, filter(filters.get(i)));
      }
      nf_search.filters(request, pointers);
      nf_search.filter_count(request, filters.size());
    }
    MemorySegment chosen = search.filterOfQuery();
    if (chosen != null) {
      nf_search.filter_of_query(request, frame.input(chosen, search.batch(), Integer.BYTES));
    }
    boolean within = !Float.isNaN(search.maxDistance());
    nf_search.flags(
        request,
        (within ? nearfield_h.NF_WITHIN() : 0) | (search.exact() ? nearfield_h.NF_EXACT() : 0));
    if (within) {
      nf_search.max_distance(request, search.maxDistance());
    }
    nf_search.max_oversample(request, search.maxOversample());
    nf_search.probes(request, search.reach().probes());
    nf_search.target_recall(request, search.reach().targetRecall());
    return request;
  }

  MemorySegment queries() {
    return frame.matrix(search.queries(), search.batch(), dim);
  }

  MemorySegment result() {
    long entries = (long) search.batch() * search.k();
    MemorySegment result = frame.struct(nf_result.layout());
    nf_result.k(result, search.k());
    nf_result.rows(result, frame.output(search.rows(), entries, Long.BYTES));
    nf_result.distances(result, frame.output(search.distances(), entries, Float.BYTES));
    nf_result.row_stride(result, search.k());
    nf_result.count(result, frame.output(search.counts(), search.batch(), Integer.BYTES));
    MemorySegment certified = search.certified();
    if (certified != null) {
      nf_result.certified(result, frame.output(certified, search.batch(), Byte.BYTES));
    }
    MemorySegment rescored = search.rescored();
    if (rescored != null) {
      nf_result.rescored(result, frame.output(rescored, search.batch(), Integer.BYTES));
    }
    MemorySegment lists = search.listsScanned();
    if (lists != null) {
      nf_result.lists_scanned(result, frame.output(lists, search.batch(), Integer.BYTES));
    }
    MemorySegment recall = search.recall();
    if (recall != null) {
      nf_result.recall_estimate(result, frame.output(recall, search.batch(), Float.BYTES));
    }
    return result;
  }

  MemorySegment filter(RowFilter filter) {
    MemorySegment struct = frame.struct(nf_filter.layout());
    switch (filter) {
      case RowFilter.Bits bits -> {
        nf_filter.kind(struct, nearfield_h.NF_BITSET());
        nf_filter.bits(struct, frame.input(bits.words(), bits.count(), Integer.BYTES));
        nf_filter.count(struct, bits.count());
      }
      case RowFilter.Rows rows -> {
        nf_filter.kind(struct, nearfield_h.NF_ROWS());
        nf_filter.rows(struct, frame.input(rows.rows(), rows.count(), Long.BYTES));
        nf_filter.count(struct, rows.count());
      }
    }
    return struct;
  }
}
