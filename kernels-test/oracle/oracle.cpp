// SPDX-License-Identifier: Apache-2.0
// The bounds follow from the canonical form of docs/numerics.md, which every backend computes in f32 for
// every distance it returns: four partial sums, each a chain of m = ceil(D/4) multiply-adds, then two levels
// of additions.
//
// Notation: u = 2^-24, the unit roundoff of f32; gamma(n) = n u / (1 - n u) bounds a product of n factors
// (1 + delta), |delta| <= u; eta = 2^-126, the smallest normal f32: a device may flush an operand or a result
// below it to zero, an absolute error below eta. A multiply-add counts as two roundings, because WGSL does
// not promise that it is fused. The oracle's own error is the same with U = 2^-53 and no flushing.
#include "oracle.hpp"

#include <algorithm>
#include <cmath>

namespace nearfield::oracle {
namespace {

constexpr double u = 0x1p-24;
constexpr double U = 0x1p-53;
constexpr double eta = 0x1p-126;

double gamma(double roundings) { return roundings * u / (1 - roundings * u); }

// Roundings that a term meets once it is an operand of its multiply-add: the product, at most m additions in
// its chain, two in the tree.
double summation(int64_t dim) { return gamma(static_cast<double>((dim + 3) / 4) + 3); }

// What flushing takes from a sum: every product and every one of the D + 3 additions may lose eta.
double flushed_sum(int64_t dim) { return static_cast<double>(2 * dim + 3) * eta; }

// What is lost when a subnormal input is read as zero.
double flushed_input(float x) { return std::fabs(x) < eta ? std::fabs(x) : 0; }

// Integers whose terms sum up to at most 2^24: each partial sum is an integer that f32 holds, nothing is
// rounded.
bool exact(const Vector& q, const Vector& v, double sum_of_magnitudes) {
  return q.integer && v.integer && sum_of_magnitudes <= 0x1p24;
}

// A difference d is rounded once and may be flushed, its operands too: it is off by e = u |d| + eta + inputs.
// Its square then is off by 2 |d| e + e^2, before the roundings of the sum.
Distance squared_difference(const Vector& q, const Vector& v) {
  double sum = 0;
  double error = 0;
  for (int64_t i = 0; i < q.dim; ++i) {
    const double d = static_cast<double>(q.x[i]) - v.x[i];
    const double e = u * std::fabs(d) + eta + flushed_input(q.x[i]) + flushed_input(v.x[i]);
    sum += d * d;
    error += (2 * std::fabs(d) + e) * e;
  }
  if (exact(q, v, sum)) return {sum, 0};
  const double own = static_cast<double>(q.dim + 2) * U * sum;
  return {sum, error + summation(q.dim) * (sum + error) + flushed_sum(q.dim) + own};
}

// Both vectors are scaled by an f32 inverse norm (one rounding) and each element is rounded once more, hence
// is off by (2 u + u^2) of itself; norms in f64 add D U. The rest is as for the squared difference; the final
// half is exact.
Distance cosine(const Vector& q, const Vector& v) {
  const double scaling = 2 * u + u * u + static_cast<double>(2 * q.dim) * U;
  double sum = 0;
  double error = 0;
  for (int64_t i = 0; i < q.dim; ++i) {
    const double a = q.x[i] / q.norm;
    const double b = v.x[i] / v.norm;
    const double d = a - b;
    const double elements = scaling * (std::fabs(a) + std::fabs(b)) + 2 * eta +
                            flushed_input(q.x[i]) / q.norm + flushed_input(v.x[i]) / v.norm;
    const double e = elements + u * (std::fabs(d) + elements) + eta;
    sum += d * d;
    error += (2 * std::fabs(d) + e) * e;
  }
  const double own = static_cast<double>(q.dim + 8) * U * (sum + error);
  return {sum / 2, (error + summation(q.dim) * (sum + error) + flushed_sum(q.dim) + own) / 2};
}

Distance dot(const Vector& q, const Vector& v) {
  double sum = 0;
  double magnitude = 0;
  double error = 0;
  for (int64_t i = 0; i < q.dim; ++i) {
    const double product = static_cast<double>(q.x[i]) * v.x[i];
    sum += product;
    magnitude += std::fabs(product);
    error += flushed_input(q.x[i]) * std::fabs(v.x[i]) + flushed_input(v.x[i]) * std::fabs(q.x[i]);
  }
  const double value = 0 - sum;  // never -0
  if (exact(q, v, magnitude)) return {value, 0};
  const double own = static_cast<double>(q.dim) * U * magnitude;
  return {value, error + summation(q.dim) * (magnitude + error) + flushed_sum(q.dim) + own};
}

Distance manhattan(const Vector& q, const Vector& v) {
  double sum = 0;
  double error = 0;
  for (int64_t i = 0; i < q.dim; ++i) {
    const double d = std::fabs(static_cast<double>(q.x[i]) - v.x[i]);
    sum += d;
    error += u * d + eta + flushed_input(q.x[i]) + flushed_input(v.x[i]);
  }
  if (exact(q, v, sum)) return {sum, 0};
  const double own = static_cast<double>(q.dim) * U * sum;
  return {sum, error + summation(q.dim) * (sum + error) + flushed_sum(q.dim) + own};
}

double from_delta(double delta) { return 2 * std::asinh(std::sqrt(delta)); }

// The device multiplies its |q-v|^2 by alpha = 1/(1-|v|^2), which was computed in f64 from D products and
// additions (relative error D U |v|^2 / (1-|v|^2)) and rounded to f32 (u); the multiplication rounds (u). The
// host divides by 1-|q|^2 (D U |q|^2 / (1-|q|^2)), takes asinh in f64 and rounds to f32 (u). So delta is off
// by at most `off`; the distance is a monotone function of delta, steep at 0, and its error is read from that
// function at delta +- off rather than from its slope.
Distance poincare(const Vector& q, const Vector& v) {
  const Distance squared = squared_difference(q, v);
  const double scale = 1 / (q.gap * v.gap);
  const double delta = squared.value * scale;
  const double gaps =
      static_cast<double>(q.dim + 2) * U * (v.norm * v.norm / v.gap + q.norm * q.norm / q.gap + 4);
  const double relative = gamma(2) + gaps;
  const double off =
      (squared.bound * (1 + relative) + relative * squared.value + 2 * eta / v.gap) * scale + eta / q.gap;
  const double value = from_delta(delta);
  const double low = from_delta(std::max(0.0, delta - off));
  const double high = from_delta(delta + off);
  return {value, std::max(high - value, value - low) + (u + 8 * U) * high};
}

// Sum of x_i^2 - 1 with the error of each addition carried along (Neumaier), so that the difference from 1
// survives where |x| is 1 - 1e-7. Products of two f32 are exact in f64.
double squared_norm_less_one(const float* x, int64_t dim) {
  double sum = -1;
  double carry = 0;
  for (int64_t i = 0; i < dim; ++i) {
    const double term = static_cast<double>(x[i]) * x[i];
    const double next = sum + term;
    carry += std::fabs(sum) >= term ? (sum - next) + term : (term - next) + sum;
    sum = next;
  }
  return sum + carry;
}

}  // namespace

Vector prepare(const float* x, int64_t dim) {
  double squared = 0;
  bool integer = true;
  for (int64_t i = 0; i < dim; ++i) {
    squared += static_cast<double>(x[i]) * x[i];
    integer = integer && std::fabs(x[i]) <= 0x1p24f && std::nearbyint(x[i]) == x[i];
  }
  return {x, dim, std::sqrt(squared), -squared_norm_less_one(x, dim), integer};
}

Distance distance(int32_t metric, const Vector& q, const Vector& v) {
  switch (metric) {
    case NF_L2SQ:
      return squared_difference(q, v);
    case NF_COSINE:
      return cosine(q, v);
    case NF_DOT:
      return dot(q, v);
    case NF_POINCARE:
      return poincare(q, v);
    case NF_MANHATTAN:
      return manhattan(q, v);
    default:
      return {std::nan(""), 0};
  }
}

}  // namespace nearfield::oracle
