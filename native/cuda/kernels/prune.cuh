// SPDX-License-Identifier: Apache-2.0
// One block per query: its limit falls to the k-th upper bound of its candidates, or of a sample's parts, and
// candidates whose lower bound is beyond it go. The k-th of n keys by four counts of their bytes.
#pragma once

#include "rank.cuh"
#include "shapes.h"

namespace nearfield::cuda {

inline constexpr uint32_t kInfiniteKey = 0xff800000u;  // no limit is made of it

// The k-th smallest of n keys, k from 1 to n, to every thread. `bins`: 256 counts, `found`: two words.
__device__ inline uint32_t kth_key(const uint32_t* keys, uint32_t n, uint32_t k, uint32_t* bins,
                                   uint32_t* found) {
  uint32_t prefix = 0, mask = 0;
  NF_NO_UNROLL
  for (uint32_t shift = 32; shift != 0;) {
    shift -= 8;
    for (uint32_t i = threadIdx.x; i < 256; i += kScanThreads) bins[i] = 0;
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < n; i += kScanThreads) {
      const uint32_t key = keys[i];
      if ((key & mask) == prefix) atomicAdd(&bins[key >> shift & 255], 1u);
    }
    __syncthreads();
    if (threadIdx.x < kWarp) {
      // Eight bins a lane; where their sums pass k, the lane finds the bin.
      uint32_t sum = 0;
      NF_UNROLL
      for (uint32_t i = 0; i < 8; ++i) sum += bins[threadIdx.x * 8 + i];
      uint32_t upto = sum;
      NF_UNROLL
      for (uint32_t by = 1; by < kWarp; by *= 2) {
        const uint32_t other = __shfl_up_sync(~0u, upto, by);
        if (threadIdx.x >= by) upto += other;
      }
      uint32_t before = upto - sum;
      if (before < k && k <= upto) {
        uint32_t bin = threadIdx.x * 8;
        while (before + bins[bin] < k) before += bins[bin++];
        found[0] = bin;
        found[1] = before;
      }
    }
    __syncthreads();
    prefix |= found[0] << shift;
    mask |= 255u << shift;
    k -= found[1];
    __syncthreads();
  }
  return prefix;
}

// counts: [batch] candidates, [batch] sums for `rescore`.
__device__ inline void prune(const PruneParams& p, uint32_t* counts, uint32_t* candidates, uint32_t* limits) {
  NF_SHARED(uint32_t, bins, 256);
  NF_SHARED(uint32_t, found, 2);
  NF_SHARED(uint32_t, kept, 1);
  const uint32_t q = blockIdx.x + blockIdx.y * p.grid_x;
  if (q >= p.workgroups) return;
  const uint32_t count = counts[q], held = count < p.capacity ? count : p.capacity;
  const uint64_t plane = static_cast<uint64_t>(p.batch) * p.capacity;
  uint32_t* const rows = candidates + static_cast<uint64_t>(q) * p.capacity;
  const uint32_t* const uppers =
      p.parts != 0 ? candidates + static_cast<uint64_t>(q) * p.parts : rows + 2 * plane;
  const uint32_t n = p.parts != 0 ? p.parts : held;
  uint32_t limit = limits[q];
  if (n >= p.k) {
    const uint32_t key = kth_key(uppers, n, p.k, bins, found);
    if (key < kInfiniteKey && key < limit) limit = key;
  }
  if (threadIdx.x == 0) kept[0] = 0;
  __syncthreads();
  if (p.parts == 0) {
    // What is kept of a step goes to places that were read.
    for (uint32_t start = 0; start < held; start += kScanThreads) {
      const uint32_t i = start + threadIdx.x;
      uint32_t row = 0, lower = NEARFIELD_EMPTY, upper = 0;
      if (i < held) row = rows[i], lower = rows[plane + i], upper = rows[2 * plane + i];
      __syncthreads();
      if (i < held && lower <= limit) {
        const uint32_t slot = atomicAdd(&kept[0], 1u);
        rows[slot] = row;
        rows[plane + slot] = lower;
        rows[2 * plane + slot] = upper;
      }
    }
    __syncthreads();
  }
  if (threadIdx.x != 0) return;
  limits[q] = limit;
  if (p.parts != 0) return;
  counts[q] = kept[0];
  if (count > p.capacity) counts[p.batch + q] |= NEARFIELD_CUT_SHORT;
}

}  // namespace nearfield::cuda
