// SPDX-License-Identifier: Apache-2.0
// Ranks in the canonical final form (docs/numerics.md): four partial sums by dimension mod 4, each a chain of
// fma over the chunks in ascending order, then (s0+s2)+(s1+s3). The intrinsics round once each and are never
// contracted. Every kernel but `matrix`, which only proposes rows, computes ranks by accumulate() and
// finish().
#pragma once

#include "device.cuh"

namespace nearfield::cuda {

inline constexpr int kL2 = 1, kCosine = 2, kDot = 3, kPoincare = 4, kManhattan = 5;  // as in nearfield.h

// Whether the final form reads the side value: 1/|v| or alpha.
template <int METRIC>
inline constexpr bool kHasSide = METRIC == kCosine || METRIC == kPoincare;

template <int METRIC>
__device__ inline float term(float q, float v, float side, float sum) {
  if (METRIC == kDot) return __fmaf_rn(q, v, sum);
  if (METRIC == kManhattan) return __fadd_rn(sum, fabsf(__fsub_rn(q, v)));
  const float d = METRIC == kCosine ? __fsub_rn(q, __fmul_rn(v, side)) : __fsub_rn(q, v);
  return __fmaf_rn(d, d, sum);
}

template <int METRIC>
__device__ inline void accumulate(const float4& q, const float4& v, float side, float4* sum) {
  sum->x = term<METRIC>(q.x, v.x, side, sum->x);
  sum->y = term<METRIC>(q.y, v.y, side, sum->y);
  sum->z = term<METRIC>(q.z, v.z, side, sum->z);
  sum->w = term<METRIC>(q.w, v.w, side, sum->w);
}

// Order-preserving integer of a rank; -0 becomes +0.
__device__ inline uint32_t rank_key(float rank) {
  const uint32_t bits = __float_as_uint(rank);
  if (bits == 0x80000000u) return 0x80000000u;
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}
__device__ inline float rank_of_key(uint32_t key) {
  return __uint_as_float(key >> 31 != 0 ? key & 0x7fffffffu : ~key);
}

template <int METRIC>
__device__ inline uint32_t finish(const float4& sum, float side) {
  const float total = __fadd_rn(__fadd_rn(sum.x, sum.z), __fadd_rn(sum.y, sum.w));
  if (METRIC == kCosine) return rank_key(__fmul_rn(0.5f, total));
  if (METRIC == kDot) return rank_key(-total);
  if (METRIC == kPoincare) return rank_key(__fmul_rn(total, side));
  return rank_key(total);
}

// (key, row) as one number: unique, so every selection is deterministic and ties go to the lower row.
inline constexpr uint64_t kNone = ~uint64_t{0};
__device__ inline uint64_t entry_of(uint32_t key, uint32_t row) {
  return static_cast<uint64_t>(key) << 32 | row;
}
__device__ inline uint32_t key_of(uint64_t entry) { return static_cast<uint32_t>(entry >> 32); }
__device__ inline Entry unpack(uint64_t entry) { return {key_of(entry), static_cast<uint32_t>(entry)}; }

}  // namespace nearfield::cuda
