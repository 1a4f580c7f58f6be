// SPDX-License-Identifier: Apache-2.0
#include "coded_query.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "code_layout.hpp"
#include "metric.hpp"

namespace nearfield {
namespace {

constexpr double u = 0x1p-24;
// Above every f64 rounding of a sum of 2^16 terms, and every rounding of one or two f32 operations.
constexpr double kUp = 1 + 0x1p-20;
// Longer queries take the direct form: N + 2 |z| must stay below 2^128.
constexpr double kLongest = 0x1p60;
// Of dot, where rows have the least scale: a unit of |c| is below 1/2, so that |y^_v| lacks less than 2^-101,
// and a device that flushes subnormal numbers loses at most D^(3/2) 2^-126 of a row it rotates.
constexpr double kLeastRows = 0x1p-99;
// Poincare: alpha of the longest row that there may be, 5.0e6.
constexpr double kMostAlpha = 1 / (1 - kPoincareLargestMaxNorm * kPoincareLargestMaxNorm) * kUp;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

float up(double value) {
  const auto rounded = static_cast<float>(value);
  return rounded >= value ? rounded : std::nextafter(rounded, kInfinity);
}
float down(double value) {
  const auto rounded = static_cast<float>(value);
  return rounded <= value ? rounded : std::nextafter(rounded, -kInfinity);
}

// To the nearest, half to even, below 2^51: beyond 2^52 f64 has whole numbers alone. std::nearbyint is a call
// for each element where the baseline has no instruction for it (SSE2).
double rounded(double value) {
  constexpr double kWhole = 0x1.8p52;
  return (value + kWhole) - kWhole;
}

int8_t to_code(double value) { return static_cast<int8_t>(std::clamp(rounded(value), -127.0, 127.0)); }

// One term of what is left of y: its codes and scale. Takes it away.
float take_term(std::vector<double>* rest, std::vector<int8_t>* codes) {
  double most = 0;
  for (const double value : *rest) most = std::max(most, std::fabs(value));
  const float scale = std::max(up(most / 127), kLeastScale);
  for (size_t i = 0; i < rest->size(); ++i) {
    (*codes)[i] = to_code((*rest)[i] / scale);
    (*rest)[i] -= static_cast<double>(scale) * (*codes)[i];
  }
  return scale;
}

double norm_of(const std::vector<double>& x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return std::sqrt(sum);
}

}  // namespace

void rotate_query(const Basis& basis, int32_t metric, const float* query, float* y) {
  const int64_t dim = basis.dim;
  std::vector<float> x(query, query + dim);
  if (metric != NF_DOT && !basis.mean.empty())
    for (int64_t i = 0; i < dim; ++i) x[static_cast<size_t>(i)] -= basis.mean[static_cast<size_t>(i)];
  if (!basis.is_rotated()) {
    std::copy(x.begin(), x.end(), y);
    return;
  }
  for (int64_t axis = 0; axis < dim; ++axis) {
    // Sixteen partial sums: vector registers of any width, and no chain that waits.
    constexpr int64_t kSums = 16;
    const float* row = basis.axis(axis);
    float sums[kSums] = {};
    int64_t i = 0;
    for (; i + kSums <= dim; i += kSums)
      for (int64_t j = 0; j < kSums; ++j) sums[j] += row[i + j] * x[static_cast<size_t>(i + j)];
    for (int64_t j = 0; i + j < dim; ++j) sums[j] += row[i + j] * x[static_cast<size_t>(i + j)];
    float sum = 0;
    for (const float partial : sums) sum += partial;
    y[axis] = sum;
  }
}

void code_query(const Basis& basis, int32_t metric, const float* query, const float* y, int32_t terms,
                CodedQuery* out) {
  const auto dim = static_cast<size_t>(basis.dim);
  const CodeLayout layout{metric, basis.dim, basis.level_dims, 0};
  const auto coded = static_cast<size_t>(layout.coded_dim());
  const bool centred = metric != NF_DOT && !basis.mean.empty();

  double moved = 0;  // |q - m|^2, of dot |q|^2
  out->offset = 0;
  for (size_t i = 0; i < dim; ++i) {
    const double x = static_cast<double>(query[i]) - (centred ? static_cast<double>(basis.mean[i]) : 0);
    moved += x * x;
    if (metric == NF_DOT && !basis.mean.empty())
      out->offset += static_cast<double>(query[i]) * static_cast<double>(basis.mean[i]);
  }
  out->norm = std::sqrt(squared_norm(query, basis.dim)) * kUp;

  std::vector<double> rest(coded, 0.0);
  for (size_t i = 0; i < dim; ++i) rest[i] = static_cast<double>(y[i]);
  out->codes[0].assign(coded, 0);
  out->codes[1].assign(terms == 2 ? coded : 0, 0);
  out->scale[0] = take_term(&rest, &out->codes[0]);
  out->scale[1] = terms == 2 ? take_term(&rest, &out->codes[1]) : 0;
  out->error = (norm_of(rest) + basis.rounding() * std::sqrt(moved)) * kUp;

  double a = 0, b = 0, sum = 0;
  const auto levels = static_cast<size_t>(layout.levels());
  out->tails.assign(levels + 1, 0.0f);
  for (size_t i = coded; i-- > 0;) {
    const double first = static_cast<double>(out->scale[0]) * out->codes[0][i];
    const double second = terms == 2 ? static_cast<double>(out->scale[1]) * out->codes[1][i] : 0;
    a += first * first;
    b += second * second;
    sum += (first + second) * (first + second);
    if (i % static_cast<size_t>(basis.level_dims) == 0)
      out->tails[i / static_cast<size_t>(basis.level_dims)] = up(std::sqrt(sum) * kUp * kUp);
  }
  out->squared = sum;
  out->rho = sum > 0 ? (std::sqrt(a) + std::sqrt(b)) / std::sqrt(sum) * kUp : 1;
  out->direct = std::sqrt(moved) > kLongest || out->norm > kLongest;
}

CodeBound::CodeBound(int32_t metric, const Basis& basis, int64_t canonical_roundings)
    : metric_(metric),
      dim_(basis.dim),
      chunks_(static_cast<double>(padded_dim(basis.dim) / kChunkFloats)),
      stretch_(basis.stretch()),
      shorter_(1 / std::sqrt(1 - basis.departure) * kUp),
      departure_(basis.departure * shorter_),
      mean_norm_(basis.mean.empty() ? 0 : std::sqrt(squared_norm(basis.mean.data(), basis.dim)) * kUp) {
  const double roundings = canonical_roundings != 0 ? static_cast<double>(canonical_roundings) : chunks_ + 4;
  widen_ = 1 / (1 - (roundings + 2) * u);
  tiny_ = (dim_ + 16) * (metric == NF_COSINE ? 0x1p-62 : 0x1p-124);
}

// (9 + 4 rho) u as derived, and 8 u for the units of norm and tail.
double CodeBound::c(const CodedQuery& query) const { return (17 + 4 * query.rho) * u; }

double CodeBound::reach(float limit) const {
  const double rank = std::max(0.0, static_cast<double>(limit)) * (metric_ == NF_COSINE ? 2 : 1);
  // Flushed squares are multiplied by alpha after they are lost: tiny stands outside of beta (test()).
  return std::sqrt((rank + (metric_ == NF_POINCARE ? 0 : tiny_)) * widen_) * stretch_ * kUp;
}

// |c| is rounded down by less than a unit, and a scale rounded up by at most 2^-7 leaves a largest code of
// 126 at least. Rows of the least scale may have less: set_limit() has what they lack.
double CodeBound::norm_up() const {
  const auto unit = static_cast<double>(norm_unit(static_cast<int64_t>(dim_) + 31));
  return 1 + unit / (126 - unit);
}

double CodeBound::dot_slack(const CodedQuery& query) const {
  return (departure_ + (15 + chunks_ + 4 * query.rho) * u * shorter_) * query.norm;
}

// The canonical form's error on the mean's share; what is flushed of products and sums, of rows of the least
// scale, and of a query's elements, which the mean may multiply.
double CodeBound::dot_constant(double norm) const {
  return (chunks_ + 8) * u * norm * mean_norm_ + tiny_ + norm * kLeastRows +
         std::sqrt(dim_) * 0x1p-126 * mean_norm_;
}

CodeTest CodeBound::test(const CodedQuery& query, float limit) const {
  CodeTest test;
  if (metric_ == NF_DOT) {
    test.per_error = up((stretch_ * query.norm + dot_slack(query)) * kUp);
    test.per_norm = up((query.error + dot_slack(query)) * norm_up() * kUp);
  } else {
    test.shrink = down(1 - c(query));
    test.query = down((1 - c(query)) * query.squared);
    test.widen = 1 + 0x1p-20f;
  }
  set_limit(query, limit, &test);
  return test;
}

void CodeBound::set_limit(const CodedQuery& query, float limit, CodeTest* test) const {
  test->gain = 0;
  test->base = limit;
  if (limit == kInfinity) return;
  switch (metric_) {
    case NF_DOT: {
      const double rank = static_cast<double>(limit) + query.offset;
      test->base =
          up(rank + std::fabs(rank) * 0x1p-22 + dot_constant(query.norm) + std::fabs(query.offset) * 0x1p-36);
      break;
    }
    case NF_POINCARE:
      test->gain = up(reach(limit));
      test->base = up((std::sqrt(tiny_) * stretch_ + query.error) * kUp);
      break;
    default:
      test->base = up((reach(limit) + query.error) * kUp);
  }
}

// reach(limit) is the root of (rank + tiny) widen stretch^2; the device's root may be 2^-19 of it too small,
// its sums and products a few u, so that their squares get 2^-16. The sum with the offset has room in
// CodeTest::widen. For dot |t| 2^-21 is 2^-22 of |T + q.m| and what its two sums round, the constant's share
// of which is in 2^-20 of it; the offset's own rounding and what of t it may cancel are 2^-22 of it.
CodeBound::LimitTerms CodeBound::limit_terms(const CodedQuery& query) const {
  if (metric_ == NF_DOT) {
    return {0, up((dot_constant(query.norm) + std::fabs(query.offset) * 0x1p-22) * kUp),
            static_cast<float>(query.offset)};
  }
  const double room = widen_ * stretch_ * stretch_ * (1 + 0x1p-16);
  if (metric_ == NF_POINCARE)
    return {up(room), 0x1p-124f, up((std::sqrt(tiny_) * stretch_ + query.error) * kUp)};
  return {up(room * (metric_ == NF_COSINE ? 2 : 1)), up(room * tiny_), up(query.error * kUp)};
}

// The query's norm is a lower bound in units too, which costs 5 u N beside c with rho = 1; a kernel's
// rearranged test has 16 u N (numerics-cpu.md), and 6 are to spare: 48 u of both norms. From above they may
// lack 2^-19 beside their unit (numerics-gpu.md, "Norm"), 64 u of their squares, and some 16 u are rounded:
// 96 u. Roots are 2^-19 off at most, sums and products of the reach a few u of it: slope, lower and upper
// have 2^-16.
CodeBound::PairTerms CodeBound::pair_terms() const {
  constexpr double kBelow = 48 * u, kAbove = 96 * u, kReach = 0x1p-16;
  const double rank = metric_ == NF_COSINE ? 0.5 : 1, square = stretch_ * stretch_;  // 1 + d
  PairTerms terms{};
  terms.shrink = down(1 - kBelow);
  terms.grow = up(1 + kAbove);
  terms.slope = up(widen_ * square * (1 + kReach) / rank);
  terms.addend = metric_ == NF_POINCARE ? 0x1p-124f : up(widen_ * square * (1 + kReach) * tiny_);
  terms.fixed = metric_ == NF_POINCARE ? up(std::sqrt(tiny_) * stretch_ * kUp) : 0;
  terms.lower = down((1 - kReach) / (widen_ * square) * rank);
  // |x| is at most |R x| / sqrt(1 - d), and the canonical form errs by as much upwards.
  terms.upper = up(widen_ / (2 - square) * (1 + kReach) * rank);
  // Beside the upper bound, which has what far lost divided by beta^2.
  terms.tiny = up(tiny_ * (metric_ == NF_POINCARE ? kMostAlpha : 1));
  terms.stretch = up(stretch_ * kUp);
  terms.slack = up((departure_ + (15 + chunks_ + 4 + 16) * u * shorter_) * kUp);
  terms.norm_up = up(norm_up() * kUp);
  return terms;
}

float CodeBound::pair_addend(double norm, double offset) const {
  return up((dot_constant(norm) + std::fabs(offset) * 0x1p-22) * kUp);
}

// The left side at a level, (1 - 3c) N - 2 z_l within c N, is at most V = (1 - 3c) N - 2 z + 2c N at the last
// one, within c N in turn: what goes at any level goes at the last, and V is at most N - 2z. For dot c N is
// dot_slack(), which E counts once.
CodeTest CodeBound::capped_test(const CodedQuery& query) const {
  CodeTest capped = test(query, kInfinity);
  if (metric_ == NF_DOT) {
    capped.per_error = up((stretch_ * query.norm + 3 * dot_slack(query)) * kUp);
    capped.per_norm = up((query.error + 3 * dot_slack(query)) * norm_up() * kUp);
    return capped;
  }
  capped.shrink = down(1 - 3 * c(query));
  capped.query = down((1 - 3 * c(query)) * query.squared);
  capped.widen = 1 + 0x1p-17f;  // for the factor 1 - 2^-19 of lower_bound()
  return capped;
}

void CodeBound::set_cutoff(const CodedQuery& query, float cutoff, CodeTest* test) const {
  test->gain = 0;
  test->base = cutoff;
  if (cutoff == kInfinity) return;
  // What underflows at one level and not at the last is below tiny.
  if (metric_ == NF_DOT) {
    test->base = up(static_cast<double>(cutoff) + std::fabs(static_cast<double>(cutoff)) * 0x1p-22 + tiny_);
    return;
  }
  if (metric_ == NF_POINCARE) {
    test->gain = up(std::max(0.0f, cutoff) * kUp);
    test->base = up((std::sqrt(tiny_) * stretch_ + query.error) * kUp);
    return;
  }
  test->base = up((std::max(0.0f, cutoff) + std::sqrt(tiny_)) * kUp);
}

float CodeBound::lower_bound(const CodedQuery& query, float value, const Row& row) const {
  const auto norm = static_cast<double>(row.norm), error = static_cast<double>(row.error);
  if (metric_ == NF_DOT) {
    const double slack = (stretch_ * query.norm + dot_slack(query)) * error * kUp +
                         (query.error + dot_slack(query)) * norm_up() * norm * kUp;
    return down(static_cast<double>(value) - slack);
  }
  const double whole = static_cast<double>(value) + 2 * c(query) * (norm * norm + query.squared);
  const double distance = std::sqrt(std::max(0.0, whole)) * (1 - 0x1p-19) - error;
  if (metric_ != NF_POINCARE) return down(distance);
  const double fixed = std::sqrt(tiny_) * stretch_ + query.error;
  return down((distance - fixed * kUp) / std::max(static_cast<double>(row.beta), 0x1p-20));
}

bool CodeBound::excludes(const CodedQuery& query, float bound, float limit) const {
  CodeTest test;
  set_limit(query, limit, &test);
  return bound > (metric_ == NF_POINCARE ? test.gain : test.base);
}

}  // namespace nearfield
