// SPDX-License-Identifier: Apache-2.0
// What `rotate`, `code` and `levels` share: rows as codes see them, and where the codes of a slab lie
// (code_layout.hpp).
#pragma once

#include "rank.cuh"

namespace nearfield::cuda {

inline constexpr uint32_t kAlwaysKeep = 65535;          // code_layout.hpp
inline constexpr uint32_t kSignFlips = 0x80808080;      // between codes + 128 and two's complement
inline constexpr uint32_t kChunkBytes = kWarp * 4;      // of a group's rows, a chunk of codes
inline constexpr uint32_t kSidePlaneBytes = kWarp * 2;  // of a group

template <int METRIC>
inline constexpr uint32_t kSidePlanes = METRIC == kPoincare ? 4 : 3;

// Codes of a slab, level by level. BYTES: uint8_t, const or not.
template <int METRIC, class BYTES>
struct CodedSlab {
  BYTES* bytes;
  uint32_t groups, levels, level_chunks;

  __device__ inline BYTES* level(uint32_t l, uint32_t group) const {
    return bytes + (static_cast<uint64_t>(l) * groups + group) * level_chunks * kChunkBytes;
  }
  // What is left of rows after level l, which is not the last.
  __device__ inline BYTES* tails(uint32_t l, uint32_t group) const {
    return level(levels, 0) + (static_cast<uint64_t>(l) * groups + group) * kWarp;
  }
  __device__ inline BYTES* sides(uint32_t group) const {
    return tails(levels - 1, 0) + static_cast<uint64_t>(group) * kSidePlanes<METRIC> * kSidePlaneBytes;
  }
};

// A row of a slab in tile32 on its way to codes.
template <int METRIC>
struct CodedRow {
  const float4* chunks;  // 32 elements apart
  const float4* mean;    // NULL: none
  float side;

  __device__ inline CodedRow(const CodingParams& p, const float4* vectors, const float* sides,
                             const float4* basis, uint32_t group, uint32_t bit)
      : chunks(vectors + static_cast<uint64_t>(group) * p.chunks * kWarp + bit),
        mean(p.has_mean != 0 ? basis : nullptr),
        side(kHasSide<METRIC> ? sides[static_cast<uint64_t>(group) * kWarp + bit] : 0.0f) {}

  // Chunk c of x = w - mean; w is rounded before the mean is taken away.
  __device__ inline float4 centred(uint32_t c) const {
    float4 x = chunks[c * kWarp];
    if (METRIC == kCosine)
      x = {__fmul_rn(x.x, side), __fmul_rn(x.y, side), __fmul_rn(x.z, side), __fmul_rn(x.w, side)};
    if (mean == nullptr) return x;
    const float4 m = mean[c];
    return {__fsub_rn(x.x, m.x), __fsub_rn(x.y, m.y), __fsub_rn(x.z, m.z), __fsub_rn(x.w, m.w)};
  }
};

__device__ inline float sum_of(const float4& v) {
  return __fadd_rn(__fadd_rn(v.x, v.z), __fadd_rn(v.y, v.w));
}

}  // namespace nearfield::cuda
