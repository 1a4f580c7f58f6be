// SPDX-License-Identifier: Apache-2.0
// The certificate of the matrix form on a GPU: when may a row be left out without its canonical rank being
// computed? docs/numerics-gpu.md has the derivation.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernel_params.h"
#include "nearfield/nearfield.h"
#include "tile32.hpp"

namespace nearfield::gpu {

// u = 2^-24, D = padded dimensions, n = D / 4. A product of D elements, summed in any order, fused or not,
// has at most m = D + 1 roundings an element: |p - q.v| <= g |q| |v|, g = m u / (1 - m u). `c` is g plus what
// the roundings of the test itself may take; the kernel keeps a row when (kernel_params.h: Bound)
//   L2      |v|^2 (1-c)/2 - p   <= (M - |q|^2 (1-c)) / 2,   M = (r + t) / (1 - (n+6) u)
//   cosine  -(p / |v|)          <= (M - |q|^2 (1-c)) / 2 - (1-c)/2,   M likewise of 2 r
//   dot     -(c |q| + f) |v| - p <= r + t + (f + c 2^-126) |q|
// r the canonical rank that k rows are known to have or beat, t what the underflow of results can take, f =
// 2 sqrt(D) 2^-126 what flushed elements can, for each unit of the other vector's norm. All of it is linear
// in r: scale * r + base.
class MatrixBounds {
 public:
  MatrixBounds(int32_t metric, int32_t dim) : metric_(metric) {
    const auto padded = static_cast<double>(padded_dim(dim));
    const double m = (padded + 1) * kUnit;
    const double g = m / (1 - m), canonical = (padded / kChunkFloats + 6) * kUnit;
    // Dot: the canonical form's own error is as absolute as the product's.
    c_ = metric == NF_DOT ? g + canonical + 8 * kUnit : g + 14 * kUnit;
    widen_ = metric == NF_DOT ? 1 : 1 / (1 - canonical);
    // Products below 2^-126 may be lost; cosine multiplies what is lost by up to 2^62 (metric.hpp).
    tiny_ = (padded + 16) * (metric == NF_COSINE ? 0x1p-62 : 0x1p-124);
    // Dot has no square of the norms that would cover them: subnormal elements that one side flushes to zero.
    flushed_ = 2 * std::sqrt(padded) * 0x1p-126;
  }

  // Ranks of L2 and cosine are not negative: rounded up. Those of dot are of either sign: exact.
  float scale() const { return metric_ == NF_DOT ? 1 : up(metric_ == NF_COSINE ? widen_ : 0.5 * widen_); }
  // `squared` = |q|^2 of the prepared query in f64.
  Bound of(double squared) const {
    const double half = 0.5 * (1 - c_);
    switch (metric_) {
      case NF_L2SQ:
        return {up(0.5 * tiny_ * widen_ - squared * half), static_cast<float>(half)};
      case NF_COSINE:
        return {up(0.5 * tiny_ * widen_ - squared * half - half), 0};
      default: {
        const double norm = std::sqrt(squared);
        return {up(tiny_ + (flushed_ + c_ * 0x1p-126) * norm), -up(c_ * norm + flushed_)};
      }
    }
  }

 private:
  static constexpr double kUnit = 0x1p-24;
  // f32 not below the value: half an ulp is at most 2^-24 of it.
  static float up(double value) { return static_cast<float>(value + std::fabs(value) * 0x1p-23); }

  int32_t metric_;
  double c_, widen_, tiny_, flushed_;
};

}  // namespace nearfield::gpu
