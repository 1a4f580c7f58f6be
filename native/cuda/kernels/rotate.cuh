// SPDX-License-Identifier: Apache-2.0
// Coordinates of rows in the axes of a basis. Block: kLaneThreads / 32 groups of rows, a row a lane, by 8
// axes.
#pragma once

#include "coded.cuh"
#include "shapes.h"

namespace nearfield::cuda {

// rotated: tile32, in the order of the list.
template <int METRIC>
__device__ inline void rotate(const CodingParams& p, const float4* vectors, const float* sides,
                              const float4* basis, const uint32_t* groups, float4* rotated) {
  constexpr uint32_t axes = 8;
  const uint32_t block = blockIdx.x + blockIdx.y * p.grid_x;
  const uint32_t axis_blocks = (p.axis_end - p.axis_begin + axes - 1) / axes;
  const uint32_t place = block / axis_blocks * (kLaneThreads / kWarp) + threadIdx.x / kWarp;
  if (block >= p.workgroups || p.list_begin + place >= p.list_end) return;
  const uint32_t bit = threadIdx.x % kWarp;
  const CodedRow<METRIC> row(p, vectors, sides, basis, groups[p.list_begin + place], bit);
  const uint32_t axis = block % axis_blocks * axes;  // from axis_begin
  const float4* from = basis + static_cast<uint64_t>(1 + axis) * p.chunks;
  float4 sums[axes];
  NF_UNROLL
  for (uint32_t i = 0; i < axes; ++i) sums[i] = float4{0, 0, 0, 0};
  for (uint32_t c = 0; c < p.chunks; ++c) {
    const float4 x = row.centred(c);
    NF_UNROLL
    for (uint32_t i = 0; i < axes; ++i)
      accumulate<kDot>(__ldg(&from[static_cast<uint64_t>(i) * p.chunks + c]), x, 0, &sums[i]);
  }
  NF_UNROLL
  for (uint32_t h = 0; h < axes / 4; ++h) {
    const uint32_t chunk = (p.axis_begin + axis) / 4 + h;
    if (chunk < p.chunks)
      rotated[(static_cast<uint64_t>(place) * p.chunks + chunk) * kWarp + bit] = {
          sum_of(sums[4 * h]), sum_of(sums[4 * h + 1]), sum_of(sums[4 * h + 2]), sum_of(sums[4 * h + 3])};
  }
}

}  // namespace nearfield::cuda
