// SPDX-License-Identifier: Apache-2.0
// Rows from their int8 codes (code_layout.hpp): v = m + R' (s c), a row a thread, by 8 dimensions. A
// coordinate is one sum in the order of the axes.
#pragma once

#include "coded.cuh"
#include "shapes.h"

namespace nearfield::cuda {

// codes: three planes of side values, which any metric but Poincare has. vectors: tile32.
__device__ inline void decode(const DecodingParams& p, const uint8_t* codes, const float* sides,
                              const float4* basis, const uint32_t* rows, float4* vectors,
                              float* vector_sides) {
  constexpr uint32_t kChunks = 2;
  const uint32_t block = blockIdx.x + blockIdx.y * p.grid_x, blocks = (p.chunks + kChunks - 1) / kChunks;
  const uint32_t place = block / blocks * kLaneThreads + threadIdx.x;
  if (place >= p.row_end - p.row_begin) return;
  const uint32_t row = p.has_list != 0 ? rows[p.row_begin + place] : p.row_begin + place;
  const uint32_t group = row / kWarp, bit = row % kWarp;
  const CodedSlab<kL2, const uint8_t> slab{codes, p.groups, p.levels, p.level_chunks};
  const uint32_t stored = reinterpret_cast<const uint16_t*>(slab.sides(group))[bit];
  const float scale = __uint_as_float(stored << 16);
  // s times the codes of chunk c: exact, 8 and 7 bits.
  const auto scaled = [&](uint32_t c) {
    const uint8_t* const level = slab.level(c / p.level_chunks, group);
    const uint32_t word = reinterpret_cast<const uint32_t*>(level)[c % p.level_chunks * kWarp + bit];
    const auto code = [&](uint32_t i) {
      return __fmul_rn(scale, __int2float_rn(static_cast<int>(word >> (8 * i) & 255) - 128));
    };
    return float4{code(0), code(1), code(2), code(3)};
  };
  const uint32_t to = p.to_begin + place, first = block % blocks * kChunks;
  // The last block may have one chunk: that is computed twice.
  const uint32_t at[kChunks] = {first, first + 1 < p.chunks ? first + 1 : first};
  float4* const out = vectors + static_cast<uint64_t>(to / kWarp) * p.chunks * kWarp + to % kWarp;
  float4 v[kChunks] = {{0, 0, 0, 0}, {0, 0, 0, 0}};
  if (p.is_rotated != 0) {
    NF_UNROLL
    for (uint32_t h = 0; h < kChunks; ++h)
      if (p.axis_begin != 0) v[h] = out[at[h] * kWarp];
    const float4* axis = basis + p.chunks;
    for (uint32_t i = p.axis_begin; i < p.axis_end; i += 4, axis += 4 * static_cast<uint64_t>(p.chunks)) {
      const float4 y = scaled(i / 4);
      const float of_axis[4] = {y.x, y.y, y.z, y.w};
      NF_UNROLL
      for (uint32_t j = 0; j < 4; ++j) {
        const float4 value{of_axis[j], of_axis[j], of_axis[j], of_axis[j]};
        NF_UNROLL
        for (uint32_t h = 0; h < kChunks; ++h)
          accumulate<kDot>(__ldg(&axis[static_cast<uint64_t>(j) * p.chunks + at[h]]), value, 0, &v[h]);
      }
    }
  } else {
    NF_UNROLL
    for (uint32_t h = 0; h < kChunks; ++h) v[h] = scaled(at[h]);
  }
  NF_UNROLL
  for (uint32_t h = 0; h < kChunks; ++h) {
    if (p.has_mean != 0 && p.is_last != 0) {
      const float4 m = basis[at[h]];
      v[h] = {__fadd_rn(v[h].x, m.x), __fadd_rn(v[h].y, m.y), __fadd_rn(v[h].z, m.z), __fadd_rn(v[h].w, m.w)};
    }
    out[at[h] * kWarp] = v[h];
  }
  if (p.has_side != 0 && first == 0) vector_sides[to] = sides[row];
}

}  // namespace nearfield::cuda
