// SPDX-License-Identifier: Apache-2.0
// Rows from their int8 codes (code_layout.hpp): v = m + R' (s c), a row a lane, by 8 dimensions. A coordinate
// is one sum in the order of the axes.
#ifndef NEARFIELD_METAL_DECODE_H
#define NEARFIELD_METAL_DECODE_H

#include "coded.h"

namespace nearfield {
namespace kernels {

constant constexpr uint DECODED_CHUNKS = 2;

// s times the codes of chunk k of the level at `level`, in bytes: exact, 8 and 7 bits.
inline float4 scaled_codes(device const uint* codes, ulong level, uint k, uint bit, float scale) {
  return scale * codes_of(codes[level / 4 + k * 32 + bit]);
}

// codes: three planes of side values, which any metric but Poincare has. basis: the mean, then axes.
// vectors: tile32. Side values are copied as bits.
template <int METRIC, uint QUERIES, uint CAPACITY>
[[kernel]] void decode(constant DecodingParams& p [[buffer(0)]], device const uint* codes [[buffer(1)]],
                       device const uint* sides [[buffer(2)]], device const float4* basis [[buffer(3)]],
                       device const uint* rows [[buffer(4)]], device float4* vectors [[buffer(5)]],
                       device uint* vector_sides [[buffer(6)]], uint3 group [[threadgroup_position_in_grid]],
                       uint lane [[thread_index_in_threadgroup]]) {
  const uint index = group.x + group.y * p.grid_x;
  const uint blocks = (p.chunks + DECODED_CHUNKS - 1) / DECODED_CHUNKS;
  const uint place = index / blocks * LANES + lane;
  if (place >= p.row_end - p.row_begin) return;
  const uint row = p.has_list != 0 ? rows[p.row_begin + place] : p.row_begin + place;
  const uint mine = row >> 5, bit = row & 31;
  const CodedSlab<METRIC> slab = {p.groups, p.levels, p.level_chunks};
  const uint pair = codes[slab.sides(mine) / 4 + bit / 2];
  const float scale = as_type<float>((pair >> (bit % 2 * 16)) << 16);
  const uint to = p.to_begin + place;
  const uint first = index % blocks * DECODED_CHUNKS;
  device float4* out = vectors + ulong(to >> 5) * p.chunks * 32 + (to & 31);
  // The last block may have one chunk: that is computed twice.
  const uint at[DECODED_CHUNKS] = {first, first + 1 < p.chunks ? first + 1 : first};
  float4 v[DECODED_CHUNKS] = {float4(0.0f), float4(0.0f)};
  if (p.is_rotated != 0) {
    NF_UNROLL
    for (uint h = 0; h < DECODED_CHUNKS; ++h)
      if (p.axis_begin != 0) v[h] = out[at[h] * 32];
    device const float4* axes = basis + p.chunks;
    for (uint i = p.axis_begin; i < p.axis_end; i += 4) {
      const float4 y =
          scaled_codes(codes, slab.level(i / 4 / p.level_chunks, mine), i / 4 % p.level_chunks, bit, scale);
      const float of_axis[4] = {y.x, y.y, y.z, y.w};
      NF_UNROLL
      for (uint j = 0; j < 4; ++j) {
        NF_UNROLL
        for (uint h = 0; h < DECODED_CHUNKS; ++h)
          v[h] = fma(axes[ulong(i - p.axis_begin + j) * p.chunks + at[h]], float4(of_axis[j]), v[h]);
      }
    }
  } else {
    NF_UNROLL
    for (uint h = 0; h < DECODED_CHUNKS; ++h)
      v[h] =
          scaled_codes(codes, slab.level(at[h] / p.level_chunks, mine), at[h] % p.level_chunks, bit, scale);
  }
  NF_UNROLL
  for (uint h = 0; h < DECODED_CHUNKS; ++h) {
    if (p.has_mean != 0 && p.is_last != 0) v[h] = v[h] + basis[at[h]];
    out[at[h] * 32] = v[h];
  }
  if (p.has_side != 0 && first == 0) vector_sides[to] = sides[row];
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_DECODE_H
