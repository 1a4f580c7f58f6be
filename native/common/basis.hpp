// SPDX-License-Identifier: Apache-2.0
// The coordinates that rows are coded in: y = R (w - m), w the row as the canonical form sees it (cosine:
// normalised).
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "tile32.hpp"

namespace nearfield {

// R x as x - W (P x), where R is a product of `count` reflectors: 4 count operations a dimension, not 2 dim.
struct Factors {
  int32_t count = 0;          // 0: none
  std::vector<float> reduce;  // P: count x dim
  std::vector<float> expand;  // W: dim x count
  double rounding = 0;        // as Basis::rounding(), of a row rotated by these, beside the R of all others
};

// Immutable: stores and fits share it.
struct Basis {
  int32_t dim = 0;
  int32_t level_dims = 8;   // 8, 16 or 32 (code_layout.hpp)
  std::vector<float> mean;  // m: dim floats, or empty: zero
  std::vector<float>
      rotation;          // R: dim x dim, an axis a row, the one of largest variance first; or empty: identity
  Factors factors;       // of R
  double departure = 0;  // |R'R - I|_F of the f32 R, in f64, rounded up; below 1/2

  bool is_rotated() const { return !rotation.empty(); }
  const float* axis(int64_t i) const { return rotation.data() + i * dim; }
  // |fl(R fl(w - m)) - R (w - m)| <= rounding() |w - m|, summed in f32 in any order, fused or not.
  double rounding() const {
    constexpr double u = 0x1p-24;
    if (is_rotated()) return (2.0 * dim + 8) * u * std::sqrt(1 + departure);
    return mean.empty() ? 0 : 2 * u;
  }
  // What |R x| may exceed |x| by, as a factor.
  double stretch() const { return std::sqrt(1 + departure); }
};

using BasisPtr = std::shared_ptr<const Basis>;

// Dimensions of a level where nothing is known of the rows (docs/numerics.md, "Levels").
constexpr int32_t default_level_dims(int32_t dim) { return dim <= 256 ? 8 : 16; }

// What an index starts with: no mean, no rotation.
inline BasisPtr identity_basis(int32_t dim) {
  auto basis = std::make_shared<Basis>();
  basis->dim = dim;
  basis->level_dims = default_level_dims(dim);
  return basis;
}

// Of rows around a mean, of which no more is known.
inline BasisPtr centred_basis(std::vector<float> mean) {
  auto basis = std::make_shared<Basis>();
  basis->dim = static_cast<int32_t>(mean.size());
  basis->level_dims = default_level_dims(basis->dim);
  basis->mean = std::move(mean);
  return basis;
}

}  // namespace nearfield
