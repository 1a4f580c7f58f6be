// SPDX-License-Identifier: Apache-2.0
// One threadgroup per query: canonical ranks of the rows that `matrix`, `levels` or `coded_product` kept,
// merged with the best so far.
#ifndef NEARFIELD_METAL_RESCORE_H
#define NEARFIELD_METAL_RESCORE_H

#include "merge.h"
#include "rows.h"

namespace nearfield {
namespace kernels {

// candidates: [batch][capacity], rows of the store; counts: [batch], 0 afterwards unless goes_on, then
// [batch] sums of the rows rescored, with NEARFIELD_CUT_SHORT where candidates found no room: the best are
// then real rows, but not surely the best; best: [batch][k], sorted.
template <int METRIC, uint QUERIES, uint CAPACITY>
[[kernel]] void rescore(constant MatrixParams& p [[buffer(0)]], device const float4* vectors [[buffer(1)]],
                        device const float* sides [[buffer(2)]], device const float4* queries [[buffer(3)]],
                        device const uint* candidates [[buffer(4)]], device uint* counts [[buffer(5)]],
                        device uint2* best [[buffer(6)]], device uint* limits [[buffer(7)]],
                        uint3 group [[threadgroup_position_in_grid]],
                        uint lane [[thread_index_in_threadgroup]]) {
  NF_SHARED(ulong, entries, CAPACITY);
  NF_SHARED(atomic_uint, sizes, 1);
  NF_SHARED(ulong, bounds, 1);
  NF_SHARED(atomic_uint, full, 2);
  const Lists<1, CAPACITY> lists = {entries, sizes, bounds, full};
  const uint q = group.x + group.y * p.grid_x;
  if (q >= p.batch) return;
  const uint limit = limits[q];
  const uint count = counts[q];
  device uint2* mine = best + ulong(q) * p.k;
  init(lists, lane);
  uint parity = 0;
  if (p.first == 0) parity = offer_all(lists, mine, p.k, NEARFIELD_EMPTY, p.k, parity, lane);
  const uint held = min(count, p.capacity);
  for (uint at = 0; at < held; at += LANES) {
    ulong entry = NO_ENTRY;
    const uint in_store = at + lane < held ? candidates[ulong(q) * p.capacity + at + lane] : NEARFIELD_EMPTY;
    const uint row = in_store - p.first_row;
    if (in_store != NEARFIELD_EMPTY && row < p.slab_rows) {
      const float side = side_of<METRIC>(sides, row);
      float4 sum[1];
      sum_row<METRIC, 1>(vectors + ulong(row >> 5) * p.chunks * 32 + (row & 31),
                         queries + ulong(q) * p.chunks, p.chunks, side, p.zero, sum);
      entry = entry_of(finish<METRIC>(sum[0], side), in_store);
    }
    offer(lists, 0, entry, limit, parity);
    if (tile_done(lists, parity)) prune_full(lists, p.k, parity, lane);
    parity ^= 1;
  }
  const uint n = prune_list(lists, 0, p.k, lane);
  threadgroup_barrier(mem_flags::mem_device);  // all have read what is overwritten now
  write_list(lists, 0, n, p.k, lane, mine);
  if (lane != 0) return;
  if (n == p.k) limits[q] = min(limit, key_of(lists.bounds[0]));
  if (p.goes_on != 0) return;
  counts[q] = 0;
  const uint sum = counts[p.batch + q];
  counts[p.batch + q] = (sum + held) | (count > p.capacity ? NEARFIELD_CUT_SHORT : sum & NEARFIELD_CUT_SHORT);
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_RESCORE_H
