// SPDX-License-Identifier: Apache-2.0
// Ranks of chosen rows: one lane per (query, row) pair.
#ifndef NEARFIELD_METAL_SCORE_H
#define NEARFIELD_METAL_SCORE_H

#include "rows.h"

namespace nearfield {
namespace kernels {

// pairs: query, row of the slab.
template <int METRIC, uint QUERIES, uint CAPACITY>
[[kernel]] void score(constant ScoreParams& p [[buffer(0)]], device const float4* vectors [[buffer(1)]],
                      device const float* sides [[buffer(2)]], device const float4* queries [[buffer(3)]],
                      device const uint2* pairs [[buffer(4)]], device uint* keys [[buffer(5)]],
                      uint3 group [[threadgroup_position_in_grid]],
                      uint lane [[thread_index_in_threadgroup]]) {
  const uint index = p.pair_begin + (group.x + group.y * p.grid_x) * LANES + lane;
  if (index >= p.pair_end) return;
  const uint2 pair = pairs[index];
  const float side = side_of<METRIC>(sides, pair.y);
  float4 sum[1];
  sum_row<METRIC, 1>(vectors + ulong(pair.y >> 5) * p.chunks * 32 + (pair.y & 31),
                     queries + ulong(pair.x) * p.chunks, p.chunks, side, p.zero, sum);
  keys[index] = finish<METRIC>(sum[0], side);
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_SCORE_H
