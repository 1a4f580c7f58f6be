// SPDX-License-Identifier: Apache-2.0
// A row's codes as code_layout.hpp describes them, made the plain way: what any backend's coder may make is
// at least as careful.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "basis.hpp"
#include "code_layout.hpp"
#include "coded_query.hpp"

namespace nearfield::test {

struct CodedRow {
  std::vector<int32_t> codes;  // coded_dim
  float scale = 0, norm = 0;   // s; |c| as stored
  float error = 0, beta = 1;   // e; of Poincaré
  std::vector<float> tails;    // by level, in units of s; of level 0 unused, after the last 0
  bool keep = false;
};

// s, of the largest |y|.
inline float scale_for(float most) {
  const double wanted = static_cast<double>(most) / 127;
  if (wanted <= static_cast<double>(kLeastScale)) return kLeastScale;
  auto bits = std::bit_cast<uint32_t>(static_cast<float>(wanted)) & 0xFFFF0000;
  while (static_cast<double>(std::bit_cast<float>(bits)) < wanted) bits += 0x10000;
  return std::bit_cast<float>(bits);
}

// `w` as the canonical form sees it, `y` its coordinates as some order of additions leaves them.
inline CodedRow code_row(const Basis& basis, int32_t metric, const float* w, const float* y, float alpha) {
  const CodeLayout layout{metric, basis.dim, basis.level_dims, 0};
  const int64_t coded = layout.coded_dim();
  CodedRow row;
  row.codes.assign(static_cast<size_t>(coded), 0);
  double moved = 0, length = 0;
  float most = 0;
  for (int32_t i = 0; i < basis.dim; ++i) {
    const double x = static_cast<double>(w[i]) -
                     (basis.mean.empty() ? 0 : static_cast<double>(basis.mean[static_cast<size_t>(i)]));
    moved += x * x;
    length += static_cast<double>(y[i]) * static_cast<double>(y[i]);
    most = std::max(most, std::fabs(y[i]));
  }
  row.scale = scale_for(most);
  double residual = 0, norm = 0;
  for (int32_t i = 0; i < basis.dim; ++i) {
    const double ratio = static_cast<double>(y[i]) / static_cast<double>(row.scale);
    const double code = std::clamp(std::nearbyint(ratio), -127.0, 127.0);
    row.codes[static_cast<size_t>(i)] = static_cast<int32_t>(code);
    residual += (ratio - code) * (ratio - code);
    norm += code * code;
  }
  const double error =
      (std::sqrt(residual) + basis.rounding() * std::sqrt(moved) / static_cast<double>(row.scale)) *
      (1 + 0x1p-20);
  const auto unit = static_cast<double>(error_unit(coded)),
             stored_unit = static_cast<double>(norm_unit(coded));
  const double stored_error = std::ceil(error / unit),
               stored_norm = std::floor(std::sqrt(norm) / stored_unit);
  row.norm = static_cast<float>(stored_norm) * norm_unit(coded);
  row.error = static_cast<float>(stored_error) * error_unit(coded) * row.scale;
  row.keep = stored_error > 65534 || std::sqrt(length) > 0x1p60;
  row.tails.assign(static_cast<size_t>(layout.levels()) + 1, 0.0f);
  double tail = 0;
  for (int64_t i = coded; i-- > 0;) {
    tail += row.codes[static_cast<size_t>(i)] * row.codes[static_cast<size_t>(i)];
    if (i % basis.level_dims != 0 || i == 0 || tail == 0) continue;
    const double part = std::ceil(std::sqrt(tail) / static_cast<double>(row.norm) * kTailUnits);
    row.keep = row.keep || !(part <= 255);
    row.tails[static_cast<size_t>(i / basis.level_dims)] = static_cast<float>(part) * (row.norm / kTailUnits);
  }
  if (metric == NF_POINCARE)
    row.beta = static_cast<float>(
                   std::ceil(1 / std::sqrt(static_cast<double>(alpha)) / static_cast<double>(kBetaUnit))) *
               kBetaUnit;
  return row;
}

// How a kernel may round: each operation, with fused multiply-add, or each with subnormal results taken for
// 0.
enum class Rounding { kEach, kFused, kFlushed };

// The kernel's comparison after `seen` levels. *left: its left side.
inline bool kept(const CodeTest& test, const CodedQuery& query, const CodedRow& row, int32_t metric,
                 int32_t level_dims, int64_t seen, Rounding rounding, float* left = nullptr) {
  int32_t a = 0, b = 0;
  for (int64_t i = 0; i < seen * level_dims; ++i) {
    const auto at = static_cast<size_t>(i);
    a += query.codes[0][at] * row.codes[at];
    if (!query.codes[1].empty()) b += query.codes[1][at] * row.codes[at];
  }
  const auto f = [rounding](float x) {
    return rounding == Rounding::kFlushed && std::fabs(x) < std::numeric_limits<float>::min() ? 0.0f : x;
  };
  const auto multiply_add = [rounding, f](float x, float y, float z) {
    return rounding == Rounding::kFused ? std::fma(x, y, z) : f(f(x * y) + z);
  };
  const auto level = static_cast<size_t>(seen);
  float z = multiply_add(query.scale[0], static_cast<float>(a), f(query.scale[1] * static_cast<float>(b)));
  z = multiply_add(row.scale, z, f(query.tails[level] * f(row.tails[level] * row.scale)));
  const float norm = f(row.norm * row.scale);
  float value = -z, bound = 0;
  if (metric == NF_DOT) {
    bound = multiply_add(test.per_norm, norm, multiply_add(test.per_error, row.error, test.base));
  } else {
    value = multiply_add(-2.0f, z, multiply_add(test.shrink, f(norm * norm), test.query));
    const float reach = multiply_add(test.gain, row.beta, test.base) + row.error;
    bound = f(test.widen * f(reach * reach));
  }
  if (left != nullptr) *left = value;
  return row.keep || value <= bound;
}

}  // namespace nearfield::test
