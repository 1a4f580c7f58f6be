// SPDX-License-Identifier: Apache-2.0
// Exact scan with the selection fused: threadgroup = one part of a slab's groups by QUERIES queries; out: the
// part's k best of each query, sorted, EMPTY-padded.
#ifndef NEARFIELD_METAL_FLAT_H
#define NEARFIELD_METAL_FLAT_H

#include "rows.h"
#include "select.h"

namespace nearfield {
namespace kernels {

// lists: [batch][part_stride][k]. limits: per query a key that at least k rows do not exceed; threadgroups
// share it to append less. Any value that was true once stays true, so relaxed atomics suffice and the result
// does not depend on their timing.
template <int METRIC, uint QUERIES, uint CAPACITY>
[[kernel]] void flat(constant ScanParams& p [[buffer(0)]], device const float4* vectors [[buffer(1)]],
                     device const float* sides [[buffer(2)]], device const uint* live [[buffer(3)]],
                     device const float4* queries [[buffer(4)]], device const uint* masks [[buffer(5)]],
                     device uint2* parts [[buffer(6)]], device atomic_uint* limits [[buffer(7)]],
                     device const WorkItem* items [[buffer(8)]], uint3 group [[threadgroup_position_in_grid]],
                     uint lane [[thread_index_in_threadgroup]]) {
  NF_SHARED(ulong, entries, QUERIES * CAPACITY);
  NF_SHARED(atomic_uint, counts, QUERIES);
  NF_SHARED(ulong, bounds, QUERIES);
  NF_SHARED(atomic_uint, full, 2);
  const Lists<QUERIES, CAPACITY> lists = {entries, counts, bounds, full};
  const uint index = group.x + group.y * p.grid_x;
  if (index >= p.workgroups) return;
  const Rows rows = {vectors, sides, live, queries, masks};
  uint q0 = index % p.query_blocks * QUERIES;
  uint part = index / p.query_blocks;
  uint begin = p.group_begin + part * p.groups_per_part;
  uint end = min(begin + p.part_groups, p.group_end);
  if (QUERIES == 1 && p.has_items != 0) {
    device const WorkItem& item = items[p.item_begin + index];
    q0 = item.query;
    part = item.part;
    begin = item.group_begin;
    end = item.group_end;
  }
  init(lists, lane);
  uint parity = 0;
  for (uint tile = begin; tile < end; tile += TILE_GROUPS) {
    ulong found[QUERIES];
    score_tile<METRIC, QUERIES>(p, rows, tile, end, q0, lane, found);
    NF_UNROLL
    for (uint j = 0; j < QUERIES; ++j) {
      const uint limit = atomic_load_explicit(&limits[min(q0 + j, p.batch - 1)], memory_order_relaxed);
      offer(lists, j, found[j], limit, parity);
    }
    if (tile_done(lists, parity)) {
      prune_full(lists, p.k, parity, lane);
      if (lane < QUERIES && q0 + lane < p.batch && lists.bounds[lane] != NO_ENTRY)
        atomic_fetch_min_explicit(&limits[q0 + lane], key_of(lists.bounds[lane]), memory_order_relaxed);
    }
    parity ^= 1;
  }
  for (uint j = 0; j < QUERIES; ++j) {
    const uint n = prune_list(lists, j, p.k, lane);
    if (q0 + j >= p.batch) continue;
    write_list(lists, j, n, p.k, lane, parts + (ulong(q0 + j) * p.part_stride + p.part_base + part) * p.k);
    if (lane == 0 && n == p.k)
      atomic_fetch_min_explicit(&limits[q0 + j], key_of(lists.bounds[j]), memory_order_relaxed);
  }
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_FLAT_H
