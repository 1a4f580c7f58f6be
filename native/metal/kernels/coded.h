// SPDX-License-Identifier: Apache-2.0
// What `rotate`, `code` and `levels` share: rows as codes see them, and where the codes of a slab lie
// (code_layout.hpp).
#ifndef NEARFIELD_METAL_CODED_H
#define NEARFIELD_METAL_CODED_H

#include "distance.h"

namespace nearfield {
namespace kernels {

constant constexpr uint ALWAYS_KEEP = 65535;           // code_layout.hpp
constant constexpr uint CODE_ZERO_WORD = 0x80808080u;  // four codes of 0
constant constexpr uint TAIL_BYTES = 32;               // of a group and level
constant constexpr uint SIDE_PLANE_BYTES = 64;         // of a group

// Codes of a slab, level by level: offsets in bytes.
template <int METRIC>
struct CodedSlab {
  uint groups, levels, level_chunks;

  ulong level(uint l, uint group) const { return (ulong(l) * groups + group) * level_chunks * 128; }
  // What is left of rows after level l, which is not the last.
  ulong tails(uint l, uint group) const {
    return level(levels, 0) + (ulong(l) * groups + group) * TAIL_BYTES;
  }
  ulong sides(uint group) const {
    return tails(levels - 1, 0) + ulong(group) * (METRIC == POINCARE ? 4 : 3) * SIDE_PLANE_BYTES;
  }
};

// A row of a slab in tile32 on its way to codes.
struct CodedRow {
  device const float4* chunks;  // 32 elements apart
  float side;
};

template <int METRIC>
inline CodedRow coded_row(constant CodingParams& p, device const float4* vectors, device const float* sides,
                          uint group, uint bit) {
  const CodedRow row = {vectors + ulong(group) * p.chunks * 32 + bit,
                        side_of<METRIC>(sides, ulong(group) * 32 + bit)};
  return row;
}

// Chunk c of x = w - mean. w is rounded before the mean is taken away: see accumulate().
template <int METRIC>
inline float4 centred(constant CodingParams& p, device const float4* mean, thread const CodedRow& row,
                      uint c) {
  float4 x = row.chunks[c * 32];
  if (METRIC == COSINE) x = fma(x, float4(row.side), float4(p.zero));
  if (p.has_mean != 0) x = x - mean[c];
  return x;
}

inline float sum_of(float4 v) { return (v.x + v.z) + (v.y + v.w); }

// Four codes of 128 more as numbers, by the bits of 2^23 + 128 + code: conversions take four times as long as
// other instructions.
inline float4 codes_of(uint word) {
  return float4(as_type<float>(0x4b000000u | (word & 255)), as_type<float>(0x4b000000u | ((word >> 8) & 255)),
                as_type<float>(0x4b000000u | ((word >> 16) & 255)),
                as_type<float>(0x4b000000u | (word >> 24))) -
         float4(8388736.0f);
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_CODED_H
