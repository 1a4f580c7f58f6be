// SPDX-License-Identifier: Apache-2.0
// What the test of the bound is made of: bases, good and bad; rows that are hard on it; ranks in f32 and f64.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "axes.hpp"
#include "basis.hpp"
#include "coded_row.hpp"
#include "metric.hpp"

namespace nearfield::test {

using Generator = std::mt19937_64;
using Vector = std::vector<float>;

inline double normal(Generator& random) { return std::normal_distribution<double>()(random); }
inline double uniform(Generator& random) { return std::uniform_real_distribution<double>(-1, 1)(random); }
inline int64_t below(Generator& random, int64_t limit) {
  return static_cast<int64_t>(random() % static_cast<uint64_t>(limit));
}

inline Rounding rounding_of(Generator& random) { return static_cast<Rounding>(random() % 3); }

// ---- bases ----

// An orthogonal matrix, by Gram-Schmidt twice.
inline Vector orthogonal(Generator& random, int32_t dim) {
  const auto size = static_cast<size_t>(dim);
  std::vector<std::vector<double>> rows(size, std::vector<double>(size));
  for (size_t i = 0; i < size; ++i) {
    for (double& value : rows[i]) value = normal(random);
    for (int again = 0; again < 2; ++again) {
      for (size_t j = 0; j < i; ++j) {
        double product = 0;
        for (size_t k = 0; k < size; ++k) product += rows[i][k] * rows[j][k];
        for (size_t k = 0; k < size; ++k) rows[i][k] -= product * rows[j][k];
      }
      double squares = 0;
      for (const double value : rows[i]) squares += value * value;
      for (double& value : rows[i]) value /= std::sqrt(squares);
    }
  }
  Vector made;
  for (const auto& row : rows) made.insert(made.end(), row.begin(), row.end());
  return made;
}

enum class Kind { kIdentity, kCentred, kRotated, kForeign, kGrown, kSkewed };
inline constexpr std::array<const char*, 6> kKinds = {"identity",           "mean",          "rotation",
                                                      "mean of other data", "R grown by 2%", "R skewed"};

inline Basis basis_of(Generator& random, Kind kind, int32_t dim, const Vector& rows) {
  Basis basis;
  basis.dim = dim;
  basis.level_dims = std::array<int32_t, 3>{8, 16, 32}[random() % 3];
  if (kind == Kind::kIdentity) return basis;
  const size_t count = rows.size() / static_cast<size_t>(dim);
  for (int32_t i = 0; i < dim; ++i) {
    double sum = kind == Kind::kForeign ? 1000 * normal(random) : 0;
    for (size_t row = 0; kind != Kind::kForeign && row < count; ++row)
      sum += static_cast<double>(rows[row * static_cast<size_t>(dim) + static_cast<size_t>(i)]) /
             static_cast<double>(count);
    basis.mean.push_back(static_cast<float>(sum));
  }
  if (kind == Kind::kCentred) return basis;
  basis.rotation = orthogonal(random, dim);
  if (kind == Kind::kGrown)
    for (float& value : basis.rotation) value *= 1.02f;
  if (kind == Kind::kSkewed) {  // a first axis that leans on the second
    for (int32_t i = 0; i < dim && dim > 1; ++i)
      basis.rotation[static_cast<size_t>(i)] += 0.01f * basis.rotation[static_cast<size_t>(dim + i)];
  }
  const Stop stop(false);
  measure_axes(basis.rotation, dim, stop, &basis.departure);
  return basis;
}

// ---- rows ----

inline constexpr int kDataSets = 14;
// Rows and queries, the queries last.
inline Vector data_of(Generator& random, int data, int32_t dim, int64_t count, std::string* name) {
  Vector made;
  Vector centre(static_cast<size_t>(dim));
  for (float& value : centre) value = static_cast<float>(normal(random));
  const double gap = std::pow(10.0, -static_cast<double>(1 + random() % 7));
  const double size = std::array<double, 4>{0x1p-55, 0x1p-90, 0x1p50, 0x1p57}[random() % 4];
  static constexpr std::array<const char*, kDataSets> kNames = {"Gaussian",
                                                                "clusters with gaps",
                                                                "an offset of 1000",
                                                                "an offset of 1e5",
                                                                "an outlier of 1e6",
                                                                "constant",
                                                                "zeros",
                                                                "denormal",
                                                                "extreme norms",
                                                                "duplicates",
                                                                "ties",
                                                                "a shell",
                                                                "integers",
                                                                "neighbours by one bit"};
  *name = kNames[static_cast<size_t>(data)];
  for (int64_t row = 0; row < count; ++row) {
    const bool again = data == 9 && row > 3 && row % 2 == 0;
    const size_t from = again ? static_cast<size_t>(below(random, row) * dim) : 0;
    double squares = 0;
    for (int32_t i = 0; i < dim; ++i) {
      double value = normal(random);
      const auto middle = static_cast<double>(centre[static_cast<size_t>(i)]);
      switch (data) {
        case 1:
          value = middle + gap * value;
          break;
        case 2:
          value = 1000 + value;
          break;
        case 3:
          value = 1e5 + gap * value;
          break;
        case 4:
          value *= row == 1 ? 1e6 : 1;
          break;
        case 5:
          value = 0.7;
          break;
        case 6:
          value = row % 3 == 0 ? value : 0;
          break;
        case 7:
          value *= 0x1p-140;
          break;
        case 8:
          value *= size;
          break;
        case 10:
          value = value > 0 ? 1 : -1;
          break;
        case 12:
          value = static_cast<double>(below(random, 255) - 127);
          break;
        case 13:
          value = static_cast<double>(
              std::nextafter(static_cast<float>(1000 + middle), row % 2 == 0 ? 0.0f : 2000.0f));
          break;
        default:
          break;
      }
      squares += value * value;
      made.push_back(again ? made[from + static_cast<size_t>(i)] : static_cast<float>(value));
    }
    if (data == 11)
      for (int32_t i = 0; i < dim; ++i) {
        float& value = made[made.size() - static_cast<size_t>(dim - i)];
        value = static_cast<float>(static_cast<double>(value) / std::sqrt(squares) * (1 - 2e-5));
      }
  }
  return made;
}

// What a metric allows: cosine no zeros, Poincaré the ball.
inline bool fit_for(int32_t metric, Vector* row) {
  const double squared = squared_norm(row->data(), static_cast<int64_t>(row->size()));
  if (metric == NF_COSINE) return std::sqrt(squared) >= kMinCosineNorm;
  if (metric != NF_POINCARE || squared < 0.99) return true;
  const double factor = (1 - 1.2e-5) / std::sqrt(squared);
  if (squared < (1 - 1e-5) * (1 - 1e-5)) return true;
  for (float& value : *row) value = static_cast<float>(static_cast<double>(value) * factor);
  return true;
}

// docs/numerics.md: four sums by dimension mod 4, then (s0 + s2) + (s1 + s3).
inline float canonical_rank(int32_t metric, const Vector& q, const Vector& w, float alpha) {
  float sums[4] = {};
  for (size_t i = 0; i < q.size(); ++i) {
    float& sum = sums[i % 4];
    const float d = q[i] - w[i];
    sum = metric == NF_DOT ? std::fma(q[i], w[i], sum) : std::fma(d, d, sum);
  }
  const float total = (sums[0] + sums[2]) + (sums[1] + sums[3]);
  if (metric == NF_DOT) return -total + 0.0f;
  return metric == NF_COSINE ? 0.5f * total : metric == NF_POINCARE ? total * alpha : total;
}

inline double true_rank(int32_t metric, const Vector& q, const Vector& w, float alpha) {
  double sum = 0;
  for (size_t i = 0; i < q.size(); ++i) {
    const auto a = static_cast<double>(q[i]), b = static_cast<double>(w[i]);
    sum += metric == NF_DOT ? a * b : (a - b) * (a - b);
  }
  if (metric == NF_DOT) return -sum;
  return metric == NF_COSINE ? sum / 2 : metric == NF_POINCARE ? sum * static_cast<double>(alpha) : sum;
}

inline float not_below(double value) {
  const auto rounded = static_cast<float>(value);
  return static_cast<double>(rounded) >= value
             ? rounded
             : std::nextafter(rounded, std::numeric_limits<float>::infinity());
}

}  // namespace nearfield::test
