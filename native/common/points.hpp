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
    // Whole tiles of a CPU's search (nearest.hpp), two at least where they are a millisecond of it, or groups
    // of 32, so that no kernel meets a few rows.
    constexpr int64_t kWhole = 512, kQuick = int64_t{1} << 27;
    const int64_t least = 2 * kWhole * centroids * dim <= kQuick ? 2 * kWhole : 0;
    const int64_t fitting = std::min(std::max(least, products / (centroids * dim)), rows);
    return fitting >= kWhole ? fitting / kWhole * kWhole
                             : std::max(kGroupRows, fitting / kGroupRows * kGroupRows);
  }
};

// What a piece of the work has done.
struct Passed {
  int64_t rows = 0, products = 0;
};

// Under dot centroids have length 1, so that the nearest is the one whose direction is: rows are clustered as
// under cosine, each with its length times its weight, by ranks that tell directions apart which products of
// floats would not.
constexpr int32_t clustered_as(int32_t metric) { return metric == NF_DOT ? NF_COSINE : metric; }

struct Points {
  int32_t metric = 0;  // NF_L2SQ or NF_COSINE
  int64_t dim = 0;
  std::vector<float> rows;      // prepared (metric.hpp; cosine: normalised), padded_dim(dim) floats apart
  std::vector<double> weights;  // one a row
  std::vector<float> mean;      // of the rows, for codes

  int64_t count() const { return static_cast<int64_t>(weights.size()); }
  int64_t stride() const { return padded_dim(dim); }
  const float* row(int64_t i) const { return rows.data() + i * stride(); }
  double weight(int64_t i) const { return weights[static_cast<size_t>(i)]; }
  // A rank, or 0 where nothing but rounding lies between. Of L2 the difference form is 0 for equal rows
  // alone. Of cosine it is 1/2 |x-c|^2 of two unit vectors, each element of which is rounded three times.
  double cost(float rank) const {
    const auto value = static_cast<double>(rank);
    return metric == NF_COSINE && value <= 0x1p-43 ? 0 : value;
  }

  void find_mean() {
    std::vector<double> sum(static_cast<size_t>(dim), 0.0);
    for (int64_t i = 0; i < count(); ++i)
      for (size_t j = 0; j < sum.size(); ++j) sum[j] += static_cast<double>(row(i)[j]);
    for (const double x : sum) mean.push_back(static_cast<float>(x / static_cast<double>(count())));
  }

  Points gather(std::span<const int64_t> numbers) const {
    Points some{metric, dim, {}, {}, {}};
    some.rows.resize(numbers.size() * static_cast<size_t>(stride()));
    for (size_t i = 0; i < numbers.size(); ++i) {
      std::copy_n(row(numbers[i]), stride(), some.rows.data() + static_cast<int64_t>(i) * stride());
      some.weights.push_back(weight(numbers[i]));
    }
    some.find_mean();
    return some;
  }
};

}  // namespace nearfield
