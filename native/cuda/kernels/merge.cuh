// SPDX-License-Identifier: Apache-2.0
// One block per query: the k best of `lists` sorted lists of k entries and of the best so far.
//
// First the heads of all lists: the k-th of them bounds the answer, and for rows in random order little more
// than k entries lie below it. Then each thread follows its lists, two entries a step, until they pass the
// bound.
#pragma once

#include "select.cuh"
#include "shapes.h"

namespace nearfield::cuda {

__device__ inline void merge(const MergeParams& p, const Entry* lists, Entry* best, uint32_t* limits) {
  constexpr uint32_t ahead = 2;
  NF_SHARED(uint64_t, entries, kMergeCapacity);
  NF_SHARED(uint64_t, bounds, 1);
  NF_SHARED(uint32_t, counts, 1);
  const Lists<1, kMergeCapacity, ahead * kMergeThreads, kMergeThreads> list{entries, bounds, counts};
  const uint32_t q = blockIdx.x + blockIdx.y * p.grid_x;
  if (q >= p.batch) return;
  const uint32_t limit = limits[q];
  Entry* mine = best + static_cast<uint64_t>(q) * p.k;
  const Entry* from = lists + static_cast<uint64_t>(q) * p.part_stride * p.k;
  list.clear();
  if (p.first == 0) {
    for (uint32_t start = 0; start < p.k; start += kMergeThreads) {
      bool full = false;
      if (start + threadIdx.x < p.k) {
        const Entry e = mine[start + threadIdx.x];
        full = list.offer(0, e.key, e.row, NEARFIELD_EMPTY);
      }
      if (__syncthreads_or(full)) list.prune(0, p.k);
    }
  }
  for (uint32_t start = 0; start < p.lists; start += kMergeThreads) {
    bool full = false;
    if (start + threadIdx.x < p.lists) {
      const Entry e = from[static_cast<uint64_t>(start + threadIdx.x) * p.k];
      full = list.offer(0, e.key, e.row, limit);
    }
    if (__syncthreads_or(full)) list.prune(0, p.k);
  }
  list.prune(0, p.k);
  for (uint32_t start = 0; start < p.lists; start += kMergeThreads) {
    const Entry* at = from + static_cast<uint64_t>(start + threadIdx.x) * p.k;
    uint32_t next = 1;
    bool alive = start + threadIdx.x < p.lists && p.k > 1;
    // A head beyond the bound ends its list; one that is the bound was offered already.
    if (alive) alive = at->key <= limit && entry_of(at->key, at->row) <= bounds[0];
    while (__syncthreads_or(alive)) {
      bool full = false;
      for (uint32_t i = 0; i < ahead && alive; ++i) {
        const Entry e = at[next];
        alive = e.key != NEARFIELD_EMPTY && e.key <= limit && entry_of(e.key, e.row) < bounds[0];
        if (alive) full |= list.offer(0, e.key, e.row, limit);
        alive = alive && ++next < p.k;
      }
      if (__syncthreads_or(full)) list.prune(0, p.k);
    }
  }
  const uint32_t kept = list.prune(0, p.k);
  list.write(0, kept, p.k, mine);
  if (threadIdx.x == 0 && kept == p.k) limits[q] = list.bound_key(0) < limit ? list.bound_key(0) : limit;
}

}  // namespace nearfield::cuda
