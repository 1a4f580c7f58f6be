// SPDX-License-Identifier: Apache-2.0
// One threadgroup per query: its limit falls to the k-th upper bound of its candidates, or of a sample's
// parts, and candidates whose lower bound is beyond it go. The k-th of n keys by four counts of their bytes.
#ifndef NEARFIELD_METAL_PRUNE_H
#define NEARFIELD_METAL_PRUNE_H

#include "common.h"

namespace nearfield {
namespace kernels {

constant constexpr uint BYTE_BINS = 256;
constant constexpr uint BINS_PER_LANE = BYTE_BINS / 32;  // of one simdgroup
constant constexpr uint INFINITE_KEY = 0xff800000u;      // no limit is made of it

// All lanes: the k-th smallest of n keys, k from 1 to n. `found`: two words.
inline uint kth_key(device const uint* keys, uint n, uint k, uint lane, threadgroup atomic_uint* bins,
                    threadgroup uint* found) {
  uint prefix = 0;
  uint mask = 0;
  for (uint shift = 32; shift != 0;) {
    shift -= 8;
    for (uint i = lane; i < BYTE_BINS; i += LANES) atomic_store_explicit(&bins[i], 0u, memory_order_relaxed);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = lane; i < n; i += LANES) {
      const uint key = keys[i];
      if ((key & mask) == prefix)
        atomic_fetch_add_explicit(&bins[(key >> shift) & (BYTE_BINS - 1)], 1u, memory_order_relaxed);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (lane < 32) {
      uint sum = 0;
      for (uint i = 0; i < BINS_PER_LANE; ++i)
        sum += atomic_load_explicit(&bins[lane * BINS_PER_LANE + i], memory_order_relaxed);
      uint before = simd_prefix_exclusive_sum(sum);
      if (before < k && k <= before + sum) {
        uint bin = lane * BINS_PER_LANE;
        uint in_bin = atomic_load_explicit(&bins[bin], memory_order_relaxed);
        while (before + in_bin < k) {
          before += in_bin;
          in_bin = atomic_load_explicit(&bins[++bin], memory_order_relaxed);
        }
        found[0] = bin;
        found[1] = before;
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    prefix |= found[0] << shift;
    mask |= (BYTE_BINS - 1) << shift;
    k -= found[1];
  }
  return prefix;
}

// counts: [batch] candidates, [batch] sums for `rescore`.
template <int METRIC, uint QUERIES, uint CAPACITY>
[[kernel]] void prune(constant PruneParams& p [[buffer(0)]], device uint* counts [[buffer(1)]],
                      device uint* candidates [[buffer(2)]], device uint* limits [[buffer(3)]],
                      uint3 group [[threadgroup_position_in_grid]],
                      uint lane [[thread_index_in_threadgroup]]) {
  NF_SHARED(atomic_uint, bins, BYTE_BINS);
  NF_SHARED(uint, found, 2);
  NF_SHARED(atomic_uint, kept, 1);
  const uint q = group.x + group.y * p.grid_x;
  if (q >= p.workgroups) return;
  const uint count = counts[q];
  const uint held = min(count, p.capacity);
  const ulong plane = ulong(p.batch) * p.capacity;
  device uint* rows = candidates + ulong(q) * p.capacity;
  device const uint* uppers = p.parts != 0 ? candidates + ulong(q) * p.parts : rows + 2 * plane;
  const uint n = p.parts != 0 ? p.parts : held;
  uint limit = limits[q];
  if (n >= p.k) {
    const uint key = kth_key(uppers, n, p.k, lane, bins, found);
    if (key < INFINITE_KEY) limit = min(limit, key);
  }
  // All have read the count and the limit.
  threadgroup_barrier(mem_flags::mem_device);
  if (lane == 0) {
    limits[q] = limit;
    atomic_store_explicit(&kept[0], 0u, memory_order_relaxed);
  }
  if (p.parts != 0) return;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  // What is kept of a step goes to places that were read.
  for (uint start = 0; start < held; start += LANES) {
    const uint i = start + lane;
    uint row = 0;
    uint lower = NEARFIELD_EMPTY;
    uint upper = 0;
    if (i < held) {
      row = rows[i];
      lower = rows[plane + i];
      upper = rows[2 * plane + i];
    }
    threadgroup_barrier(mem_flags::mem_device);
    if (i >= held || lower > limit) continue;
    const uint slot = atomic_fetch_add_explicit(&kept[0], 1u, memory_order_relaxed);
    rows[slot] = row;
    rows[plane + slot] = lower;
    rows[2 * plane + slot] = upper;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (lane != 0) return;
  counts[q] = atomic_load_explicit(&kept[0], memory_order_relaxed);
  if (count > p.capacity) counts[p.batch + q] |= NEARFIELD_CUT_SHORT;
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_PRUNE_H
