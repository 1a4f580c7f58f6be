// SPDX-License-Identifier: Apache-2.0
// Selection for large k. The scan is recomputed for each digit of the composite (key, row): `histogram`
// counts one digit of the rows that match the digits fixed so far, the host fixes the digit that holds the
// k-th entry; `collect` then writes everything not beyond the bound, at most k entries in any order. No score
// is stored.
#ifndef NEARFIELD_METAL_RADIX_H
#define NEARFIELD_METAL_RADIX_H

#include "rows.h"

namespace nearfield {
namespace kernels {

// digits: per query Digits; bins: [batch][BINS]; the last buffer is unused.
template <int METRIC, uint QUERIES, uint CAPACITY>
[[kernel]] void histogram(constant ScanParams& p [[buffer(0)]], device const float4* vectors [[buffer(1)]],
                          device const float* sides [[buffer(2)]], device const uint* live [[buffer(3)]],
                          device const float4* queries [[buffer(4)]], device const uint* masks [[buffer(5)]],
                          device const uint4* digits [[buffer(6)]], device atomic_uint* bins [[buffer(7)]],
                          device uint2* unused [[buffer(8)]], uint3 group [[threadgroup_position_in_grid]],
                          uint lane [[thread_index_in_threadgroup]]) {
  NF_SHARED(atomic_uint, counted, NEARFIELD_BINS);
  const uint index = group.x + group.y * p.grid_x;
  if (index >= p.workgroups) return;
  (void)unused;
  const Rows rows = {vectors, sides, live, queries, masks};
  const uint q = index % p.query_blocks;
  const uint begin = p.group_begin + index / p.query_blocks * p.groups_per_part;
  const uint end = min(begin + p.groups_per_part, p.group_end);
  const uint4 fixed = digits[q];  // key, row, key mask, row mask
  for (uint i = lane; i < NEARFIELD_BINS; i += LANES)
    atomic_store_explicit(&counted[i], 0u, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint tile = begin; tile < end; tile += TILE_GROUPS) {
    ulong found[1];
    score_tile<METRIC, 1>(p, rows, tile, p.group_end, q, lane, found);
    const uint key = key_of(found[0]);
    const uint row = row_of(found[0]);
    if (found[0] != NO_ENTRY && (key & fixed.z) == fixed.x && (row & fixed.w) == fixed.y) {
      const uint word = p.digit_stage != 0 ? row : key;
      atomic_fetch_add_explicit(&counted[(word >> p.digit_shift) & (NEARFIELD_BINS - 1)], 1u,
                                memory_order_relaxed);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = lane; i < NEARFIELD_BINS; i += LANES) {
    const uint n = atomic_load_explicit(&counted[i], memory_order_relaxed);
    if (n != 0) atomic_fetch_add_explicit(&bins[ulong(q) * NEARFIELD_BINS + i], n, memory_order_relaxed);
  }
}

// digits: key and row of the bound, inclusive; counts: [batch]; out: [batch][k].
template <int METRIC, uint QUERIES, uint CAPACITY>
[[kernel]] void collect(constant ScanParams& p [[buffer(0)]], device const float4* vectors [[buffer(1)]],
                        device const float* sides [[buffer(2)]], device const uint* live [[buffer(3)]],
                        device const float4* queries [[buffer(4)]], device const uint* masks [[buffer(5)]],
                        device const uint4* digits [[buffer(6)]], device atomic_uint* counts [[buffer(7)]],
                        device uint2* out [[buffer(8)]], uint3 group [[threadgroup_position_in_grid]],
                        uint lane [[thread_index_in_threadgroup]]) {
  const uint index = group.x + group.y * p.grid_x;
  if (index >= p.workgroups) return;
  const Rows rows = {vectors, sides, live, queries, masks};
  const uint q = index % p.query_blocks;
  const uint begin = p.group_begin + index / p.query_blocks * p.groups_per_part;
  const uint end = min(begin + p.groups_per_part, p.group_end);
  const ulong bound = entry_of(digits[q].x, digits[q].y);
  for (uint tile = begin; tile < end; tile += TILE_GROUPS) {
    ulong found[1];
    score_tile<METRIC, 1>(p, rows, tile, p.group_end, q, lane, found);
    if (found[0] == NO_ENTRY || found[0] > bound) continue;
    const uint slot = atomic_fetch_add_explicit(&counts[q], 1u, memory_order_relaxed);
    if (slot < p.k) out[ulong(q) * p.k + slot] = uint2(key_of(found[0]), row_of(found[0]));
  }
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_RADIX_H
