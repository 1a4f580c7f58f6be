// SPDX-License-Identifier: Apache-2.0
// The certificate of the matrix form: when may a row be left out without its canonical rank being computed?
// docs/numerics-cpu.md has the derivation in full.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels.hpp"
#include "nearfield/nearfield.h"

namespace nearfield::cpu {

// u = 2^-24, n = chunks: a product is summed in chains of l fused multiply-adds and s - 1 additions
// (Segments), so
//   |p - q.v| <= g |q| |v|,  g = m u / (1 - m u),  m = l + s.
// The kernel evaluates x = h_v - m_v p in f32 (L2: h = |v|^2/2 (1-c), m = 1; cosine: h = (1-c)/2, m = 1/|v|)
// and keeps the row when x <= cut. With c = g + 14 u, of which at most 12 u are used by the roundings of h,
// p, x, |v|^2 and the cosine form's v/|v|,
//   x > cut = (most - |q|^2 (1-c)) / 2   implies   |q-v|^2 > most,
// and with most = (limit + tiny) / (1 - (n + 6) u) the canonical rank, whose relative error is below
// (n + 4) u, is above the limit. `tiny` is what gradual underflow, or flushing to zero, can add up to.
class MatrixBound {
 public:
  MatrixBound(int32_t metric, int64_t chunks) {
    constexpr double u = 0x1p-24;
    const Segments segments(chunks);
    const double m = static_cast<double>(segments.length + segments.count) * u;
    c_ = m / (1 - m) + 14 * u;
    rank_to_square_ = metric == NF_COSINE ? 2 : 1;
    widen_ = 1 / (1 - static_cast<double>(chunks + 6) * u);
    // Products smaller than 2^-126 may be lost, cosine multiplies what is lost by up to 2^62 (metric.hpp).
    tiny_ = static_cast<double>(chunks * kChunkFloats + 8) * (metric == NF_COSINE ? 0x1p-62 : 0x1p-124);
  }

  float half_shrunk() const { return static_cast<float>(0.5 * (1 - c_)); }

  // Keep x <= cut. `query_squared` = |q|^2 in f64; an infinite limit keeps all.
  float cut(double query_squared, float limit) const {
    if (limit == std::numeric_limits<float>::infinity()) return limit;
    const double most = (rank_to_square_ * static_cast<double>(limit) + tiny_) * widen_;
    const double cut = 0.5 * (most - query_squared * (1 - c_));
    // Rounded up: half an ulp is at most 2^-24 of the value.
    return static_cast<float>(cut + std::fabs(cut) * 0x1p-23 + 0x1p-126);
  }

 private:
  double c_, rank_to_square_, widen_, tiny_;
};

}  // namespace nearfield::cpu
