// SPDX-License-Identifier: Apache-2.0
// The rows that are clustered, as searches want queries.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "backend.hpp"
#include "nearfield/nearfield.h"
#include "tile32.hpp"

namespace nearfield {

// Metrics whose clusters have a mean for a centroid; of cosine and dot its direction.
constexpr bool has_means(int32_t metric) {
  return metric == NF_L2SQ || metric == NF_COSINE || metric == NF_DOT;
}

// How much is done between two looks at the clock.
struct Piece {
  int64_t products = 0, rows = 0;  // at most

  int64_t rows_against(int64_t centroids, int64_t dim) const {
    // Whole groups of 32, so that no kernel meets a few rows.
    const int64_t fitting = products / (centroids * dim) / kGroupRows * kGroupRows;
    return std::max(kGroupRows, std::min(fitting, rows));
  }
};

struct Points {
  int32_t metric = 0;
  int64_t dim = 0;
  std::vector<float> rows;     // prepared (metric.hpp; cosine: normalised), padded_dim(dim) floats apart
  std::vector<float> weights;  // one a row
  std::vector<float> norms;    // dot: |x|; elsewhere empty

  int64_t count() const { return static_cast<int64_t>(weights.size()); }
  int64_t stride() const { return padded_dim(dim); }
  const float* row(int64_t i) const { return rows.data() + i * stride(); }
  double weight(int64_t i) const { return static_cast<double>(weights[static_cast<size_t>(i)]); }
  double norm(int64_t i) const {
    return metric == NF_DOT ? static_cast<double>(norms[static_cast<size_t>(i)]) : 1;
  }
  // How far a row of this rank is from the best that a centroid can do for it: 0 where nothing but rounding
  // lies between. Of L2 the difference form is 0 for equal rows alone. Of cosine 1/2 |x-c|^2 of two unit
  // vectors, each element of which is rounded three times; of dot |x| - x.c, whose sum rounds (metric.hpp).
  double cost(int64_t i, float rank) const { return cost(metric, dim, norm(i), rank); }
  static double cost(int32_t metric, int64_t dim, double norm, float rank) {
    const auto value = static_cast<double>(rank);
    if (metric == NF_L2SQ) return value;
    if (metric == NF_COSINE) return value <= 0x1p-43 ? 0 : value;
    const double left = norm + value;
    return left <= norm * static_cast<double>(padded_dim(dim) / kChunkFloats + 8) * 0x1p-23 ? 0 : left;
  }

  Points gather(std::span<const int64_t> numbers) const {
    Points some{metric, dim, {}, {}, {}};
    some.rows.resize(numbers.size() * static_cast<size_t>(stride()));
    for (size_t i = 0; i < numbers.size(); ++i) {
      std::copy_n(row(numbers[i]), stride(), some.rows.data() + static_cast<int64_t>(i) * stride());
      some.weights.push_back(weights[static_cast<size_t>(numbers[i])]);
      if (metric == NF_DOT) some.norms.push_back(norms[static_cast<size_t>(numbers[i])]);
    }
    return some;
  }
};

}  // namespace nearfield
