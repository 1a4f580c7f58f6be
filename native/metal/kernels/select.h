// SPDX-License-Identifier: Apache-2.0
// Exact selection of the k smallest entries by one threadgroup, for QUERIES queries at once: entries below
// the bound are appended to a list in threadgroup memory; when a list might overflow at the next tile, it is
// sorted (bitonic) and cut to k, and the k-th entry becomes the bound. A list holds CAPACITY >= k + TILE_ROWS
// entries.
#ifndef NEARFIELD_METAL_SELECT_H
#define NEARFIELD_METAL_SELECT_H

#include "common.h"

namespace nearfield {
namespace kernels {

// CAPACITY: a power of two, for the sort.
template <uint QUERIES, uint CAPACITY>
struct Lists {
  threadgroup ulong* entries;       // [QUERIES][CAPACITY]
  threadgroup atomic_uint* counts;  // [QUERIES]
  threadgroup ulong* bounds;        // [QUERIES]: the k-th entry so far
  threadgroup atomic_uint* full;    // [2]: a list of this tile, even or odd, may overflow at the next
};

// All lanes.
template <uint QUERIES, uint CAPACITY>
inline void init(thread const Lists<QUERIES, CAPACITY>& lists, uint lane) {
  if (lane < QUERIES) {
    atomic_store_explicit(&lists.counts[lane], 0u, memory_order_relaxed);
    lists.bounds[lane] = NO_ENTRY;
  }
  if (lane < 2) atomic_store_explicit(&lists.full[lane], 0u, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
}

// All lanes. `limit`: a key that at least k entries are known not to exceed, EMPTY when none is known.
// `parity`: of the tile.
template <uint QUERIES, uint CAPACITY>
inline void offer(thread const Lists<QUERIES, CAPACITY>& lists, uint j, ulong entry, uint limit,
                  uint parity) {
  const bool keep = entry < lists.bounds[j] && key_of(entry) <= limit;
  if (!simd_any(keep)) return;
  // One atomic operation for a simdgroup's entries.
  const uint before = simd_prefix_exclusive_sum(keep ? 1u : 0u);
  const uint total = simd_sum(keep ? 1u : 0u);
  uint base = 0;
  if (simd_is_first()) {
    base = atomic_fetch_add_explicit(&lists.counts[j], total, memory_order_relaxed);
    if (base + total > CAPACITY - TILE_ROWS)
      atomic_store_explicit(&lists.full[parity], 1u, memory_order_relaxed);
  }
  base = simd_broadcast_first(base);
  if (keep) lists.entries[j * CAPACITY + base + before] = entry;
}

// All lanes, after the offers of a tile: the barrier between two tiles. True when some list may overflow at
// the next one: prune_full() then. The flag alternates, so that nobody raises that of the next tile before
// all have read this one's.
template <uint QUERIES, uint CAPACITY>
inline bool tile_done(thread const Lists<QUERIES, CAPACITY>& lists, uint parity) {
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return atomic_load_explicit(&lists.full[parity], memory_order_relaxed) != 0;
}

// All lanes, between barriers: the entries of list j.
template <uint QUERIES, uint CAPACITY>
inline uint size_of(thread const Lists<QUERIES, CAPACITY>& lists, uint j) {
  return atomic_load_explicit(&lists.counts[j], memory_order_relaxed);
}

// All lanes, after a barrier. Sorts list j and cuts it to k entries; returns how many remain.
template <uint QUERIES, uint CAPACITY>
inline uint prune_list(thread const Lists<QUERIES, CAPACITY>& lists, uint j, uint k, uint lane) {
  threadgroup ulong* list = lists.entries + j * CAPACITY;
  const uint n = size_of(lists, j);
  if (n > 1) {
    const uint size = 1u << (32 - clz(n - 1));
    for (uint i = n + lane; i < size; i += LANES) list[i] = NO_ENTRY;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint run = 2; run <= size; run <<= 1) {
      for (uint step = run >> 1; step > 0; step >>= 1) {
        for (uint t = lane; t < (size >> 1); t += LANES) {
          const uint a = 2 * t - (t & (step - 1));
          const uint b = a + step;
          const bool ascending = (a & run) == 0;
          const ulong x = list[a], y = list[b];
          if ((y < x) == ascending) {
            list[a] = y;
            list[b] = x;
          }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
      }
    }
  }
  const uint left = min(n, k);
  // Everybody has read the count: with n > 1 before the barriers above.
  if (n <= 1) threadgroup_barrier(mem_flags::mem_threadgroup);
  if (lane == 0) {
    if (n >= k) lists.bounds[j] = list[k - 1];
    atomic_store_explicit(&lists.counts[j], left, memory_order_relaxed);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return left;
}

// All lanes: prunes the lists that may overflow at the next tile.
template <uint QUERIES, uint CAPACITY>
inline void prune_full(thread const Lists<QUERIES, CAPACITY>& lists, uint k, uint parity, uint lane) {
  for (uint j = 0; j < QUERIES; ++j)
    if (size_of(lists, j) > CAPACITY - TILE_ROWS) prune_list(lists, j, k, lane);
  if (lane == 0) atomic_store_explicit(&lists.full[parity], 0u, memory_order_relaxed);
  // Nobody may offer entries of the next tile while another still asks for the sizes.
  threadgroup_barrier(mem_flags::mem_threadgroup);
}

// All lanes, after prune_list(): its `n` entries, padded to k by EMPTY.
template <uint QUERIES, uint CAPACITY>
inline void write_list(thread const Lists<QUERIES, CAPACITY>& lists, uint j, uint n, uint k, uint lane,
                       device uint2* to) {
  for (uint i = lane; i < k; i += LANES) {
    const ulong entry = i < n ? lists.entries[j * CAPACITY + i] : NO_ENTRY;
    to[i] = uint2(key_of(entry), row_of(entry));
  }
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_SELECT_H
