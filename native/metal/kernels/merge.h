// SPDX-License-Identifier: Apache-2.0
// One threadgroup per query: the k best of `lists` sorted lists of k entries and of the best so far. Rank by
// rank: first the heads of all lists, then the second entries of those whose head was good enough, and so on,
// so that what is read depends on k and not on k times the number of lists. On the device, because the lists
// of a batch are much more than its answers.
#ifndef NEARFIELD_METAL_MERGE_H
#define NEARFIELD_METAL_MERGE_H

#include "select.h"

namespace nearfield {
namespace kernels {

// All lanes: offers `count` entries, EMPTY ones among them.
template <uint CAPACITY>
inline uint offer_all(thread const Lists<1, CAPACITY>& lists, device const uint2* from, uint count,
                      uint limit, uint k, uint parity, uint lane) {
  for (uint start = 0; start < count; start += TILE_ROWS) {
    ulong entry = NO_ENTRY;
    if (start + lane < count) {
      const uint2 e = from[start + lane];
      entry = entry_of(e.x, e.y);
    }
    offer(lists, 0, entry, limit, parity);
    if (tile_done(lists, parity)) prune_full(lists, k, parity, lane);
    parity ^= 1;
  }
  return parity;
}

// All lanes: offers the entries of sorted lists, each until one is out of the question. At most 32 lists a
// lane.
template <uint CAPACITY>
inline void offer_sorted(thread const Lists<1, CAPACITY>& lists, device const uint2* parts, uint count,
                         uint limit, uint k, uint parity, uint lane, threadgroup atomic_uint* found) {
  uint open = ~0u;  // a bit per list of this lane that may still have an entry
  for (uint rank = 0; rank < k; ++rank) {
    if (lane == 0) atomic_store_explicit(found, 0u, memory_order_relaxed);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint start = 0; start < count; start += TILE_ROWS) {
      const uint bit = 1u << (start / TILE_ROWS);
      ulong entry = NO_ENTRY;
      if (start + lane < count && (open & bit) != 0) {
        const uint2 e = parts[ulong(start + lane) * k + rank];
        entry = entry_of(e.x, e.y);
        if (entry < lists.bounds[0] && e.x <= limit) {
          atomic_store_explicit(found, 1u, memory_order_relaxed);
        } else {
          entry = NO_ENTRY;
          open &= ~bit;  // the entries that follow are worse
        }
      }
      offer(lists, 0, entry, limit, parity);
      if (tile_done(lists, parity)) prune_full(lists, k, parity, lane);
      parity ^= 1;
    }
    const bool any = atomic_load_explicit(found, memory_order_relaxed) != 0;
    threadgroup_barrier(mem_flags::mem_threadgroup);  // all have read what is cleared next
    if (!any) return;
  }
}

// parts: [batch][part_stride][k]; best: [batch][k], sorted.
template <int METRIC, uint QUERIES, uint CAPACITY>
[[kernel]] void merge(constant MergeParams& p [[buffer(0)]], device const uint2* parts [[buffer(1)]],
                      device uint2* best [[buffer(2)]], device uint* limits [[buffer(3)]],
                      uint3 group [[threadgroup_position_in_grid]],
                      uint lane [[thread_index_in_threadgroup]]) {
  NF_SHARED(ulong, entries, CAPACITY);
  NF_SHARED(atomic_uint, counts, 1);
  NF_SHARED(ulong, bounds, 1);
  NF_SHARED(atomic_uint, full, 2);
  NF_SHARED(atomic_uint, found, 1);
  const Lists<1, CAPACITY> lists = {entries, counts, bounds, full};
  const uint q = group.x + group.y * p.grid_x;
  if (q >= p.batch) return;
  const uint limit = limits[q];
  device uint2* mine = best + ulong(q) * p.k;
  init(lists, lane);
  uint parity = 0;
  if (p.first == 0) parity = offer_all(lists, mine, p.k, NEARFIELD_EMPTY, p.k, parity, lane);
  offer_sorted(lists, parts + ulong(q) * p.part_stride * p.k, p.lists, limit, p.k, parity, lane, found);
  const uint n = prune_list(lists, 0, p.k, lane);
  threadgroup_barrier(mem_flags::mem_device);  // all have read what is overwritten now
  write_list(lists, 0, n, p.k, lane, mine);
  if (lane == 0 && n == p.k) limits[q] = min(limit, key_of(lists.bounds[0]));
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_MERGE_H
