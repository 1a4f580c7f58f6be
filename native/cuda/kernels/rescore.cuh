// SPDX-License-Identifier: Apache-2.0
// One block per query: canonical ranks of its candidates of a window, merged with the best so far.
// counts: [batch] candidates of this window, set to 0 for the next; then [batch] sums of the rows rescored,
// with NEARFIELD_CUT_SHORT where candidates found no room: the best are then real rows, but not surely the
// best.
#pragma once

#include "rows.cuh"
#include "select.cuh"
#include "shapes.h"

namespace nearfield::cuda {

template <int METRIC, uint32_t CAPACITY>
__device__ inline void rescore(const MatrixParams& p, const float4* vectors, const float* sides,
                               const float4* queries, const uint32_t* candidates, uint32_t* counts_of,
                               Entry* best, uint32_t* limits) {
  NF_SHARED(uint64_t, entries, CAPACITY);
  NF_SHARED(uint64_t, bounds, 1);
  NF_SHARED(uint32_t, counts, 1);
  const Lists<1, CAPACITY, kScanThreads, kScanThreads> list{entries, bounds, counts};
  const uint32_t q = blockIdx.x + blockIdx.y * p.grid_x;
  if (q >= p.workgroups) return;
  const Slab slab{vectors, sides, nullptr, nullptr, p.chunks, p.first_row, 0};
  const uint32_t limit = limits[q], count = counts_of[q];
  Entry* mine = best + static_cast<uint64_t>(q) * p.k;
  list.clear();
  for (uint32_t start = 0; p.first == 0 && start < p.k; start += kScanThreads) {
    bool full = false;
    if (start + threadIdx.x < p.k) {
      const Entry e = mine[start + threadIdx.x];
      full = list.offer(0, e.key, e.row, NEARFIELD_EMPTY);
    }
    if (__syncthreads_or(full)) list.prune(0, p.k);
  }
  const uint32_t held = count < p.capacity ? count : p.capacity;
  const uint32_t* rows = candidates + static_cast<uint64_t>(q) * p.capacity;
  const float4* query = queries + static_cast<uint64_t>(q) * p.chunks;
  for (uint32_t start = 0; start < held; start += kScanThreads) {
    bool full = false;
    if (start + threadIdx.x < held) {
      const uint32_t row = rows[start + threadIdx.x];
      if (row - p.first_row < p.slab_rows)
        full = list.offer(0, row_key<METRIC>(slab, row - p.first_row, query), row, limit);
    }
    if (__syncthreads_or(full)) list.prune(0, p.k);
  }
  const uint32_t kept = list.prune(0, p.k);
  list.write(0, kept, p.k, mine);
  if (threadIdx.x == 0) {
    if (kept == p.k) limits[q] = list.bound_key(0) < limit ? list.bound_key(0) : limit;
    if (p.goes_on != 0) return;
    counts_of[q] = 0;
    const uint32_t sum = counts_of[p.batch + q];
    counts_of[p.batch + q] =
        (sum + held) | (count > p.capacity ? NEARFIELD_CUT_SHORT : sum & NEARFIELD_CUT_SHORT);
  }
}

}  // namespace nearfield::cuda
