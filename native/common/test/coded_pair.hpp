// SPDX-License-Identifier: Apache-2.0
// The bounds of a pair's rank and the test that rows stay by, from the contract of CodedProductParams
// (kernel_params.h), in every arithmetic that a device may have.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "code_layout.hpp"
#include "coded_query.hpp"
#include "coded_row.hpp"
#include "kernel_params.h"

namespace nearfield::test {

// Side values of a row or a query.
struct Sides {
  float scale = 0, norm = 0, error = 0;  // norm: v^ = |c| s as stored
  bool keep = false;
};

// What a coder stores at best and at worst: on a device a norm may lack 2^-19 of itself beside its unit, and
// an error has a unit to spare (numerics-gpu.md, "Coding").
enum class Coder { kExact, kDevice };
inline Sides sides_of(double norm, double error, float scale, int64_t coded_dim, Coder coder) {
  const float unit = norm_unit(coded_dim), part = error_unit(coded_dim);
  const bool device = coder == Coder::kDevice;
  const double lacking = device ? 1 - 0x1p-19 : 1;
  const auto norms = static_cast<float>(std::floor(norm * lacking / static_cast<double>(unit)));
  const double errors = std::ceil(error / static_cast<double>(part)) + (device ? 1 : 0);
  return {scale, norms * unit * scale, static_cast<float>(errors) * part * scale, errors > 65534};
}

// kEach rounds each operation to the nearest, kFused fuses what can be, kFlushed takes subnormal results for
// 0. Roots and quotients of the last are off as far as WGSL lets them, in the worse direction.
class PairModel {
 public:
  PairModel(int32_t metric, const CodedProductParams& params, Rounding rounding)
      : metric_(metric), p_(params), rounding_(rounding) {}

  struct Bounds {
    float lower, upper;
  };
  Bounds bounds(const Sides& row, float beta, const Sides& query, const ProductQuery& terms,
                int32_t dot) const {
    if (row.keep || query.keep) return {metric_ == NF_DOT ? -kInfinity : 0, kInfinity};
    const float z = multiply(query.scale, multiply(row.scale, static_cast<float>(dot)));
    if (metric_ == NF_DOT) {
      const float per_error = multiply(p_.stretch + p_.slack, terms.norm),
                  per_norm = multiply(multiply_add(p_.slack, terms.norm, query.error), p_.norm_up);
      float reach = multiply_add(std::fabs(z) + std::fabs(terms.offset), 0x1p-21f, terms.addend);
      reach = multiply_add(per_error, row.error, multiply_add(per_norm, row.norm, reach));
      return {flushed(flushed(-z - terms.offset) - reach), flushed(flushed(-z - terms.offset) + reach)};
    }
    const float squares = multiply_add(row.norm, row.norm, multiply(query.norm, query.norm));
    const float near = multiply_add(-2.0f, z, multiply(p_.shrink, squares));
    const float v = multiply_add(p_.norm_unit, row.scale, row.norm),
                q = multiply_add(p_.norm_unit, query.scale, query.norm);
    const float far = multiply_add(-2.0f, z, multiply(p_.grow, multiply_add(v, v, multiply(q, q))));
    const float d = multiply(root(near, 1), 1 - 0x1p-18f) - row.error - query.error - p_.fixed;
    const float most = multiply(root(far, -1), 1 + 0x1p-18f) + row.error + query.error;
    float lower = d > 0 ? multiply(multiply(d, d), p_.lower) : 0.0f;
    float upper = multiply(multiply(most, most), p_.upper);
    if (metric_ == NF_POINCARE) {
      const float least = beta - 2 * p_.beta_unit;
      lower = quotient(lower, multiply(beta, beta), 1);
      upper = least > 0 ? quotient(upper, multiply(least, least), -1) : kInfinity;
    } else {
      lower = std::max(flushed(lower - p_.tiny), 0.0f);
    }
    return {lower, flushed(upper + p_.tiny)};
  }

  // Rearranged: the first bracket is of the row, the second of the query and its limit, which is added at
  // once or, where operations fuse, compared with at last.
  bool stays(const Sides& row, float beta, const Sides& query, const ProductQuery& terms, int32_t dot,
             float limit) const {
    if (row.keep || query.keep) return true;
    const float sum = multiply(static_cast<float>(dot), row.scale), e = row.error;
    if (metric_ == NF_DOT) {
      const float t = flushed(limit + terms.offset);
      const float fixed = flushed(multiply_add(std::fabs(t), 0x1p-21f, t) + terms.addend);
      const float per_norm = multiply(multiply_add(p_.slack, terms.norm, query.error), p_.norm_up);
      const float x = multiply_add(e, multiply(p_.stretch + p_.slack, terms.norm),
                                   multiply_add(per_norm, row.norm, is_late() ? 0 : fixed));
      return multiply_add(sum, query.scale, x) >= (is_late() ? -fixed : 0);
    }
    const float reach = root(multiply_add(limit, p_.slope, p_.addend), -1);
    const float base = (metric_ == NF_POINCARE ? p_.fixed : reach) + query.error;
    const float of_row =
        multiply_add(multiply(kWiden, e), e, -multiply(p_.shrink, multiply(row.norm, row.norm)));
    const float of_query =
        multiply_add(multiply(kWiden, base), base, -multiply(p_.shrink, multiply(query.norm, query.norm)));
    float x = multiply_add(e, 2 * multiply(kWiden, base), flushed(of_row + (is_late() ? 0 : of_query)));
    if (metric_ == NF_POINCARE) {
      const float gain = multiply(2 * kWiden, reach);
      const float per_beta = multiply_add(e, gain, multiply(gain, base));
      x = multiply_add(beta, multiply_add(beta, multiply(kWiden, multiply(reach, reach)), per_beta), x);
    }
    return multiply_add(sum, query.scale + query.scale, x) >= (is_late() ? -of_query : 0);
  }

 private:
  static constexpr float kInfinity = std::numeric_limits<float>::infinity();
  static constexpr float kWiden = 1 + 0x1p-18f;
  bool is_late() const { return rounding_ == Rounding::kFused; }
  float flushed(float x) const {
    return rounding_ == Rounding::kFlushed && std::fabs(x) < std::numeric_limits<float>::min() ? 0.0f : x;
  }
  float multiply(float x, float y) const { return flushed(x * y); }
  float multiply_add(float x, float y, float z) const {
    return rounding_ == Rounding::kFused ? std::fma(x, y, z) : flushed(multiply(x, y) + z);
  }
  float root(float x, int direction) const {
    const float exact = std::sqrt(std::max(x, 0.0f));
    return rounding_ == Rounding::kFlushed ? exact * (1 + static_cast<float>(direction) * 0x1p-20f) : exact;
  }
  float quotient(float x, float y, int direction) const {
    const float exact = x / y;
    return rounding_ == Rounding::kFlushed ? flushed(exact * (1 + static_cast<float>(direction) * 0x1p-22f))
                                           : exact;
  }

  int32_t metric_;
  const CodedProductParams& p_;
  Rounding rounding_;
};

// As gpu/coded_product.cpp fills them.
inline CodedProductParams pair_params(const CodeBound& bound, int64_t coded_dim) {
  const CodeBound::PairTerms terms = bound.pair_terms();
  CodedProductParams p{};
  p.norm_unit = norm_unit(coded_dim);
  p.error_unit = error_unit(coded_dim);
  p.beta_unit = kBetaUnit;
  p.shrink = terms.shrink;
  p.grow = terms.grow;
  p.slope = terms.slope;
  p.addend = terms.addend;
  p.fixed = terms.fixed;
  p.lower = terms.lower;
  p.upper = terms.upper;
  p.tiny = terms.tiny;
  p.stretch = terms.stretch;
  p.slack = terms.slack;
  p.norm_up = terms.norm_up;
  return p;
}

}  // namespace nearfield::test
