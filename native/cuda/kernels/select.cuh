// SPDX-License-Identifier: Apache-2.0
// Exact selection of the k smallest entries by one block, for QUERIES queries at once: entries below the
// bound are appended to a list in shared memory; when a list might overflow at the next step, it is sorted
// (bitonic) and cut to k, and the k-th entry becomes the bound. A list of CAPACITY entries takes k + STEP,
// STEP being what a block may offer between two barriers.
#pragma once

#include "rank.cuh"

namespace nearfield::cuda {

template <uint32_t QUERIES, uint32_t CAPACITY, uint32_t STEP, uint32_t THREADS>
struct Lists {
  // Shared arrays: [QUERIES * CAPACITY], [QUERIES], [QUERIES].
  uint64_t* entries;
  uint64_t* bounds;
  uint32_t* counts;

  // Every thread; ends with a barrier.
  __device__ inline void clear() const {
    if (threadIdx.x < QUERIES) {
      bounds[threadIdx.x] = kNone;
      counts[threadIdx.x] = 0;
    }
    __syncthreads();
  }

  // Any thread. `limit`: a key that at least k rows are known not to exceed, NEARFIELD_EMPTY when none is.
  // True when list j may overflow at the next step: to be asked of all threads before it.
  __device__ inline bool offer(uint32_t j, uint32_t key, uint32_t row, uint32_t limit) const {
    if (key == NEARFIELD_EMPTY || key > limit) return false;
    const uint64_t entry = entry_of(key, row);
    if (entry >= bounds[j]) return false;
    const uint32_t slot = atomicAdd(&counts[j], 1u);
    entries[j * CAPACITY + slot] = entry;
    return slot + 1 > CAPACITY - STEP;
  }

  // Every thread, after a barrier that follows the last offer. Sorts list j and cuts it to k; returns how
  // many remain; ends with a barrier.
  __device__ inline uint32_t prune(uint32_t j, uint32_t k) const {
    uint64_t* list = entries + j * CAPACITY;
    const uint32_t n = counts[j];
    const uint32_t size = n > 1 ? 1u << (32 - __clz(static_cast<int>(n - 1))) : 1u;
    for (uint32_t i = n + threadIdx.x; i < size; i += THREADS) list[i] = kNone;
    __syncthreads();
    for (uint32_t run = 2; run <= size; run <<= 1) {
      for (uint32_t step = run >> 1; step > 0; step >>= 1) {
        for (uint32_t t = threadIdx.x; t < size >> 1; t += THREADS) {
          const uint32_t a = 2 * t - (t & (step - 1)), b = a + step;
          const uint64_t x = list[a], y = list[b];
          if ((y < x) == ((a & run) == 0)) {
            list[a] = y;
            list[b] = x;
          }
        }
        // Steps of at most a warp's width stay within the 64 entries that the warp itself holds.
        const uint32_t next = step > 1 ? step >> 1 : run;
        if (step > kWarp || next > kWarp || run == size)
          __syncthreads();
        else
          __syncwarp();
      }
    }
    const uint32_t kept = n < k ? n : k;
    if (threadIdx.x == 0) {
      if (n >= k) bounds[j] = list[k - 1];
      counts[j] = kept;
    }
    __syncthreads();
    return kept;
  }

  __device__ inline uint32_t bound_key(uint32_t j) const { return key_of(bounds[j]); }

  // Every thread: the first `kept` entries of list j, padded to k.
  __device__ inline void write(uint32_t j, uint32_t kept, uint32_t k, Entry* to) const {
    for (uint32_t i = threadIdx.x; i < k; i += THREADS)
      to[i] = unpack(i < kept ? entries[j * CAPACITY + i] : kNone);
  }
};

}  // namespace nearfield::cuda
