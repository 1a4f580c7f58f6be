// SPDX-License-Identifier: Apache-2.0
// Ranks of chosen rows: one thread per (query, row of the slab) pair.
#pragma once

#include "rows.cuh"
#include "shapes.h"

namespace nearfield::cuda {

template <int METRIC>
__device__ inline void score(const ScoreParams& p, const float4* vectors, const float* sides,
                             const float4* queries, const Pair* pairs, uint32_t* keys) {
  const uint32_t index = p.pair_begin + (blockIdx.x + blockIdx.y * p.grid_x) * kLaneThreads + threadIdx.x;
  if (index >= p.pair_end) return;
  const Slab slab{vectors, sides, nullptr, nullptr, p.chunks, 0, 0};
  const Pair pair = pairs[index];
  keys[index] = row_key<METRIC>(slab, pair.row, queries + static_cast<uint64_t>(pair.query) * p.chunks);
}

}  // namespace nearfield::cuda
