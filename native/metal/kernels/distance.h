// SPDX-License-Identifier: Apache-2.0
// The canonical final form (docs/numerics.md): four partial sums by dimension mod 4, each a chain of fma over
// the chunks in ascending order, then (s0+s2)+(s1+s3). Every kernel computes ranks by these two functions.
#ifndef NEARFIELD_METAL_DISTANCE_H
#define NEARFIELD_METAL_DISTANCE_H

#include "common.h"

namespace nearfield {
namespace kernels {

// nearfield.h's numbers.
constant constexpr int L2 = 1;
constant constexpr int COSINE = 2;
constant constexpr int DOT = 3;
constant constexpr int POINCARE = 4;
constant constexpr int MANHATTAN = 5;

// `zero` is 0.0, but not to the compiler: fma(v, side, zero) is the rounded product, which cannot be
// contracted with the subtraction that follows. So the cosine distance of a vector to itself is exactly 0.
template <int METRIC>
inline float4 accumulate(float4 q, float4 v, float side, float zero, float4 sum) {
  if (METRIC == DOT) return fma(q, v, sum);
  if (METRIC == MANHATTAN) return sum + fabs(q - v);
  if (METRIC == COSINE) {
    const float4 d = q - fma(v, float4(side), float4(zero));
    return fma(d, d, sum);
  }
  const float4 d = q - v;
  return fma(d, d, sum);
}

template <int METRIC>
inline uint finish(float4 sum, float side) {
  const float total = (sum.x + sum.z) + (sum.y + sum.w);
  if (METRIC == COSINE) return rank_key(0.5f * total);
  if (METRIC == DOT) return rank_key(-total);
  if (METRIC == POINCARE) return rank_key(total * side);
  return rank_key(total);
}

// Whether the canonical form of a metric reads the side value of a row.
template <int METRIC>
inline float side_of(device const float* sides, ulong row) {
  return METRIC == COSINE || METRIC == POINCARE ? sides[row] : 0.0f;
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_DISTANCE_H
