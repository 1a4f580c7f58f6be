// SPDX-License-Identifier: Apache-2.0
// Coordinates of rows in the axes of a basis. Threadgroup: LANES / 32 groups of rows, a row a lane, by AXES
// axes.
#ifndef NEARFIELD_METAL_ROTATE_H
#define NEARFIELD_METAL_ROTATE_H

#include "coded.h"

namespace nearfield {
namespace kernels {

constant constexpr uint AXES = 8;

// basis: the mean, then axes; groups: the list; rotated: tile32, in the order of the list.
template <int METRIC, uint QUERIES, uint CAPACITY>
[[kernel]] void rotate(constant CodingParams& p [[buffer(0)]], device const float4* vectors [[buffer(1)]],
                       device const float* sides [[buffer(2)]], device const float4* basis [[buffer(3)]],
                       device const uint* groups [[buffer(4)]], device float4* rotated [[buffer(5)]],
                       uint3 group [[threadgroup_position_in_grid]],
                       uint lane [[thread_index_in_threadgroup]]) {
  const uint index = group.x + group.y * p.grid_x;
  const uint axis_blocks = (p.axis_end - p.axis_begin + AXES - 1) / AXES;
  const uint place = index / axis_blocks * TILE_GROUPS + (lane >> 5);
  if (index >= p.workgroups || p.list_begin + place >= p.list_end) return;
  const uint bit = lane & 31;
  const CodedRow row = coded_row<METRIC>(p, vectors, sides, groups[p.list_begin + place], bit);
  const uint axis = index % axis_blocks * AXES;  // from axis_begin
  device const float4* from = basis + ulong(1 + axis) * p.chunks;
  float4 sums[AXES];
  NF_UNROLL
  for (uint i = 0; i < AXES; ++i) sums[i] = float4(0.0f);
  for (uint c = 0; c < p.chunks; ++c) {
    const float4 x = centred<METRIC>(p, basis, row, c);
    NF_UNROLL
    for (uint i = 0; i < AXES; ++i) sums[i] = fma(from[ulong(i) * p.chunks + c], x, sums[i]);
  }
  NF_UNROLL
  for (uint h = 0; h < AXES / 4; ++h) {
    const uint chunk = (p.axis_begin + axis) / 4 + h;
    if (chunk < p.chunks)
      rotated[(ulong(place) * p.chunks + chunk) * 32 + bit] = float4(
          sum_of(sums[4 * h]), sum_of(sums[4 * h + 1]), sum_of(sums[4 * h + 2]), sum_of(sums[4 * h + 3]));
  }
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_ROTATE_H
