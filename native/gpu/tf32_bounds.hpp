// SPDX-License-Identifier: Apache-2.0
// The certificate of products of TF32: docs/numerics-gpu.md has the derivation, kernel_params.h
// (CodedProductParams, ResidualParams) what kernels make of it.
#pragma once

#include <cmath>
#include <cstdint>

#include "coded_query.hpp"
#include "kernel_params.h"
#include "nearfield/nearfield.h"
#include "tf32.hpp"
#include "tile32.hpp"

namespace nearfield::gpu {

// u = 2^-24, D = padded dimensions, n = D / 4. A block of kTf32Block products and the sum so far are
// kTf32Block + 1 terms that lose less than 2^(1 - kTf32KeptBits) of the largest of them each, and the new sum
// loses 2u of itself as it is cut off: (kTf32Block + 2) 2^(1 - kTf32KeptBits) of |q~| |v~| a block.
class Tf32Bounds {
 public:
  Tf32Bounds(int32_t metric, int32_t dim) : metric_(metric) {
    dim_ = static_cast<double>(padded_dim(dim));
    chunks_ = dim_ / kChunkFloats;
    // Steps of the kernel that are half empty add zeros, which cost nothing; they are counted all the same.
    const double blocks = (dim_ + 3 * kChunkFloats) / kTf32Block;
    const double loss = blocks * (kTf32Block + 2) * std::ldexp(1.0, 1 - kTf32KeptBits);
    product_ = loss / (1 - loss);
    // What falls below 2^-126 in products, sums, squares of norms and the canonical form. Cosine's products
    // are multiplied by up to 2^62 (metric.hpp).
    tiny_ = (dim_ + 16) * (metric == NF_COSINE ? 0x1p-60 : 0x1p-122);
  }

  CodeBound::PairTerms pair_terms() const {
    // Squares of norms are n + 2 roundings of a sum, two of a root and, of cosine, two of an element off,
    // what remains of the test rounds 16 u of both together, and 8 u are to spare.
    const double norms = product_ + (chunks_ + 30) * kUnit;
    // The canonical form, and roots that are 2^-19 off.
    const double widen = 1 / (1 - (chunks_ + 8) * kUnit), reach = 0x1p-16;
    const double rank = metric_ == NF_COSINE ? 0.5 : 1;
    CodeBound::PairTerms terms{};
    terms.shrink = down(1 - norms);
    terms.grow = up(1 + norms);
    terms.slope = up(widen * (1 + reach) / rank);
    terms.addend = up(widen * (1 + reach) * tiny_);
    terms.lower = down((1 - reach) / widen * rank);
    terms.upper = up(widen * (1 + reach) * rank);
    terms.tiny = up(tiny_);
    // Of dot. q~ is up to 2^-11 longer than q; the canonical form's error is as absolute as the product's.
    terms.stretch = up(1 + 16 * kUnit);
    terms.slack = up(product_ * (1 + 0x1p-10) + (chunks_ + 20) * kUnit);
    terms.norm_up = up(1 + product_ + (chunks_ / 2 + 16) * kUnit);
    return terms;
  }
  // Of dot, and a query of this norm: ProductQuery.
  float pair_addend() const { return up(tiny_); }

  // The scales of ResidualParams. A row of cosine is rounded once an element as it is made a unit vector. A
  // unit, or a device, that takes subnormal numbers for zero loses up to 2^-126 of an element and of a
  // square.
  void set_scales(bool is_query, ResidualParams* p) const {
    p->error_scale = up(1 + (chunks_ / 2 + 16) * kUnit);
    p->norm_scale = metric_ == NF_COSINE && !is_query ? up(2.5 * kUnit) : 0;
    p->error_room = up(2 * std::sqrt(dim_) * 0x1p-63);
  }

 private:
  static constexpr double kUnit = 0x1p-24;
  // f32 not below, and not above, the positive value: half an ulp is at most 2^-24 of it.
  static float up(double value) { return static_cast<float>(value * (1 + 0x1p-23)); }
  static float down(double value) { return static_cast<float>(value * (1 - 0x1p-23)); }

  int32_t metric_;
  double dim_, chunks_, product_, tiny_;
};

}  // namespace nearfield::gpu
