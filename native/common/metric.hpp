// SPDX-License-Identifier: Apache-2.0
// What a metric means outside the kernels: limits of its vectors, side data per row, query preparation, final
// distance. Formulas and their derivation: docs/numerics.md.
#pragma once

#include <cmath>
#include <cstdint>

#include "nearfield/nearfield.h"

namespace nearfield {

// Vectors longer than this are refused for every metric but Poincaré (whose limit is smaller): |q-v|^2 <=
// (2^63)^2 = 2^126 and |q.v| <= 2^124 then stay finite in f32 in every order of additions, so no kernel ever
// sees an infinity or a NaN.
inline constexpr double kMaxNorm = 0x1p62;
// Cosine refuses vectors shorter than this: 1/|v| and v/|v| then stay normal f32 numbers on devices that
// flush denormals.
inline constexpr double kMinCosineNorm = 0x1p-62;
// A row that is kept as int8 codes alone is no longer than this: what it and any mean leave between them then
// has a scale (code_layout.hpp), at up to 2^16 dimensions. A row of a quarter of it decodes to one within it
// (docs/numerics.md, "Codes alone"). Cosine codes rows of length 1.
inline constexpr double kMaxCodedNorm = 0x1p50;
// Poincaré: the default limit of |v| and the largest that a caller may choose (docs/numerics.md says what f32
// storage costs there).
inline constexpr double kPoincareDefaultMaxNorm = 1 - 1e-5;
inline constexpr double kPoincareLargestMaxNorm = 1 - 1e-7;

inline const char* metric_name(int32_t metric) {
  switch (metric) {
    case NF_L2SQ:
      return "L2 squared";
    case NF_COSINE:
      return "cosine";
    case NF_DOT:
      return "dot";
    case NF_POINCARE:
      return "Poincaré";
    case NF_MANHATTAN:
      return "Manhattan";
    default:
      return "unknown";
  }
}

// Finite exactly when every element is: no square of an f32 overflows or vanishes in f64. Eight partial sums
// let the compiler vectorise; one chain would wait four cycles for each element.
inline double squared_norm(const float* x, int64_t dim) {
  constexpr int kSums = 8;
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= dim; i += kSums)
    for (int j = 0; j < kSums; ++j) sums[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);
  for (int j = 0; j < kSums && i + j < dim; ++j)
    sums[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

// The f32 a store keeps beside a row, from its squared norm in f64:
//   L2_SQUARED |v|^2   COSINE 1/|v|   DOT |v|   POINCARE alpha = 1/(1-|v|^2)   MANHATTAN 0 (unused)
// Norms serve the matrix form only; inverse norm and alpha enter the final form.
inline float row_side(int32_t metric, double squared) {
  switch (metric) {
    case NF_L2SQ:
      return static_cast<float>(squared);
    case NF_COSINE:
      return static_cast<float>(1 / std::sqrt(squared));
    case NF_DOT:
      return static_cast<float>(std::sqrt(squared));
    case NF_POINCARE:
      return static_cast<float>(1 / (1 - squared));
    default:
      return 0;
  }
}

// Query as the kernels want it. Cosine: q * f32(1/|q|), one rounding per element, the same two roundings that
// the final form applies to a row, so that the distance of a vector to itself is exactly 0.
inline void prepare_query(int32_t metric, const float* from, int64_t dim, double squared, float* to) {
  const float scale = metric == NF_COSINE ? row_side(NF_COSINE, squared) : 1.0f;
  for (int64_t i = 0; i < dim; ++i) to[i] = from[i] * scale;
}

// Distance from a kernel's rank. Poincaré: 2 asinh(sqrt(|q-v|^2 alpha_v / (1-|q|^2))) in f64; elsewhere the
// rank is the distance.
inline float final_distance(int32_t metric, float rank, double query_squared_norm) {
  if (metric != NF_POINCARE) return rank;
  return static_cast<float>(2 * std::asinh(std::sqrt(static_cast<double>(rank) / (1 - query_squared_norm))));
}

}  // namespace nearfield
