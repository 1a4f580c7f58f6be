// SPDX-License-Identifier: Apache-2.0
// One block per query: the k best of `lists` sorted lists of k entries and of the best so far.
//
// First the heads of all lists: the k-th of them bounds the answer, and for rows in random order little more
// than k entries lie below it. Then each thread follows its lists until they pass the bound, two lists at a
// time, so that their reads are under way together.
#pragma once

#include "select.cuh"
#include "shapes.h"

namespace nearfield::cuda {

template <uint32_t CAPACITY>
__device__ inline void merge(const MergeParams& p, const Entry* lists, Entry* best, uint32_t* limits) {
  constexpr uint32_t width = kMergeWidth;
  NF_SHARED(uint64_t, entries, CAPACITY);
  NF_SHARED(uint64_t, bounds, 1);
  NF_SHARED(uint32_t, counts, 1);
  const Lists<1, CAPACITY, width * kMergeThreads, kMergeThreads> list{entries, bounds, counts};
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
  // The entries at place `at` of the thread's lists of the round that starts at `start`; what is offered
  // stays alive.
  const auto round = [&](uint32_t start, uint32_t at, bool(&alive)[width]) {
    Entry found[width];
    NF_UNROLL
    for (uint32_t i = 0; i < width; ++i) {
      const uint32_t l = start + i * kMergeThreads + threadIdx.x;
      alive[i] = alive[i] && l < p.lists;
      found[i] = alive[i] ? from[static_cast<uint64_t>(l) * p.k + at] : Entry{NEARFIELD_EMPTY, 0};
    }
    bool full = false;
    NF_UNROLL
    for (uint32_t i = 0; i < width; ++i) {
      alive[i] = found[i].key != NEARFIELD_EMPTY && found[i].key <= limit &&
                 entry_of(found[i].key, found[i].row) < bounds[0];
      full |= list.offer(0, found[i].key, found[i].row, limit);
    }
    if (__syncthreads_or(full)) list.prune(0, p.k);
  };
  for (uint32_t start = 0; start < p.lists; start += width * kMergeThreads) {
    bool all[width] = {true, true};
    round(start, 0, all);
  }
  list.prune(0, p.k);
  for (uint32_t start = 0; start < p.lists; start += width * kMergeThreads) {
    bool alive[width] = {true, true};
    for (uint32_t at = 1; at < p.k && __syncthreads_or(alive[0] || alive[1]); ++at) round(start, at, alive);
  }
  const uint32_t kept = list.prune(0, p.k);
  list.write(0, kept, p.k, mine);
  if (threadIdx.x == 0 && kept == p.k) limits[q] = list.bound_key(0) < limit ? list.bound_key(0) : limit;
}

}  // namespace nearfield::cuda
