// SPDX-License-Identifier: Apache-2.0
// A clustering of a case's rows, and what must be true of it, in f64.
#pragma once

#include <cmath>
#include <set>
#include <vector>

#include "check.hpp"
#include "kmeans.hpp"
#include "oracle.hpp"
#include "tests.hpp"

namespace nearfield::test {

inline constexpr double u = 0x1p-24;

inline nf_matrix matrix_of(const std::vector<float>& rows, int64_t cols) {
  nf_matrix matrix{};
  matrix.struct_size = sizeof(matrix);
  matrix.dtype = NF_F32;
  matrix.data = const_cast<float*>(rows.data());
  matrix.cols = cols;
  matrix.rows = static_cast<int64_t>(rows.size()) / cols;
  matrix.row_stride = cols * static_cast<int64_t>(sizeof(float));
  return matrix;
}

// Directions that are nearly one are clustered by their differences; products of floats may not see them.
inline bool is_blurred(const Bench& bench) {
  return bench.spec.metric == NF_DOT && bench.spec.data == Data::OFFSET;
}

// What the tests of one case share.
class Clustered {
 public:
  explicit Clustered(const Bench& bench) : bench_(bench), p_(bench.problem), rows_(p_.data().rows()) {
    options_.metric = p_.metric();
    options_.clusters = static_cast<int32_t>(bench.spec.k);
    options_.sample = rows_;  // all
    options_.seed = p_.seed();
  }
  KmeansOptions options() const { return options_; }
  Clusters run(const KmeansOptions& options) const { return run(options, bench_.context()); }
  Clusters run(const KmeansOptions& options, nf_context* context) const {
    return kmeans(bench_.backend, context, p_.data().matrix(), options);
  }

  // In f64, of directions where the metric has them: places, more than any rounding apart.
  int64_t places() const {
    std::set<std::vector<float>> places;
    for (int64_t i = 0; i < rows_; ++i) {
      double norm = 0;
      for (int32_t j = 0; j < dim(); ++j) norm += std::pow(value(i, j), 2);
      norm = p_.metric() == NF_L2SQ || norm == 0 ? 1 : std::sqrt(norm);
      std::vector<float> place;
      for (int32_t j = 0; j < dim(); ++j) place.push_back(static_cast<float>(value(i, j) / norm));
      places.insert(place);
    }
    return static_cast<int64_t>(places.size());
  }

  // Labels are those of nf_assign, the inertia is their sum, no cluster is empty.
  void check_result(const Clusters& found, const std::vector<float>& weights = {}) const {
    Results nearest(rows_, 1);
    assign(bench_.backend, bench_.context(), p_.metric(), p_.data().matrix(),
           matrix_of(found.centroids, dim()), &nearest);
    std::vector<int64_t> sizes(static_cast<size_t>(options_.clusters), 0);
    double sum = 0, lengths = 0;
    for (int64_t i = 0; i < rows_; ++i) {
      const int32_t label = found.labels[static_cast<size_t>(i)];
      check(label == nearest.row(i, 0), "row %lld has label %d, its nearest centroid is %lld",
            static_cast<long long>(i), label, static_cast<long long>(nearest.row(i, 0)));
      ++sizes[static_cast<size_t>(label)];
      const double weight = weights.empty() ? 1 : static_cast<double>(weights[static_cast<size_t>(i)]);
      sum += weight * static_cast<double>(nearest.distance(i, 0));
      lengths += weight * std::fabs(static_cast<double>(nearest.distance(i, 0)));
    }
    // Sums of f64 in another order.
    check(std::fabs(found.inertia - sum) <= lengths * static_cast<double>(rows_) * 0x1p-52,
          "the inertia is %.17g, the distances sum up to %.17g", found.inertia, sum);
    for (size_t c = 0; c < sizes.size(); ++c)
      check(is_blurred(bench_) || sizes[c] != 0, "cluster %zu is empty", c);
    check_truth(found);
  }

  // By the oracle no centroid is nearer than that of the label, but for what f32 may err.
  void check_truth(const Clusters& found) const {
    for (int64_t i = 0; i < rows_; ++i) {
      const oracle::Vector row = oracle::prepare(p_.data().row(i), dim());
      const auto to = [&](int64_t c) {
        return oracle::distance(p_.metric(), row, oracle::prepare(found.centroids.data() + c * dim(), dim()));
      };
      const oracle::Distance own = to(found.labels[static_cast<size_t>(i)]);
      for (int64_t c = 0; c < options_.clusters; ++c) {
        const oracle::Distance other = to(c);
        check(own.value - own.bound <= other.value + other.bound,
              "row %lld has label %d at %.9g, centroid %lld is at %.9g", static_cast<long long>(i),
              found.labels[static_cast<size_t>(i)], own.value, static_cast<long long>(c), other.value);
      }
    }
  }

  // What may be lost between two iterations: ranks are rounded, and centroids to f32.
  double slack(const Clusters& found) const {
    double length = 0;
    for (int64_t i = 0; i < rows_; ++i) {
      const oracle::Distance d = oracle::distance(
          p_.metric(), oracle::prepare(p_.data().row(i), dim()),
          oracle::prepare(found.centroids.data() + found.labels[static_cast<size_t>(i)] * int64_t{dim()},
                          dim()));
      double norm = 0;
      for (int32_t j = 0; j < dim(); ++j) norm += std::pow(value(i, j), 2);
      // Rounding moves a centroid by u of each element: of L2 that adds its square; of the others, whose
      // centroids have length 1, a share u of the row's.
      length += 2 * d.bound + (p_.metric() == NF_L2SQ ? norm * 4 * u * u : 4 * u * std::sqrt(norm));
    }
    return length;
  }

  // In f64, of the rows that carry these labels.
  void check_means(const Clusters& moved, const std::vector<int64_t>& labels) const {
    for (int64_t c = 0; c < options_.clusters; ++c) {
      std::vector<double> mean(static_cast<size_t>(dim()), 0.0);
      double count = 0, lengths = 0, norm = 0;
      for (int64_t i = 0; i < rows_; ++i) {
        if (labels[static_cast<size_t>(i)] != c) continue;
        double squared = 0;
        for (int32_t j = 0; j < dim(); ++j) squared += std::pow(value(i, j), 2);
        const double scale = p_.metric() == NF_COSINE ? 1 / std::sqrt(squared) : 1;
        for (size_t j = 0; j < mean.size(); ++j) mean[j] += scale * value(i, static_cast<int32_t>(j));
        lengths += scale * std::sqrt(squared);
        count += 1;
      }
      if (count == 0) continue;  // repaired
      for (const double x : mean) norm += x * x;
      norm = p_.metric() == NF_L2SQ ? count : std::sqrt(norm);
      if (norm < lengths * 0x1p-16) continue;  // hardly a direction
      for (size_t j = 0; j < mean.size(); ++j) {
        const double wanted = mean[j] / norm;
        const auto got = static_cast<double>(moved.centroids[static_cast<size_t>(c * dim()) + j]);
        // One rounding to f32, and of normalised rows two more of each.
        const double room = (p_.metric() == NF_L2SQ ? 1.01 * std::fabs(wanted) + lengths / count * 0x1p-20
                                                    : 4 * lengths / norm) *
                                u +
                            0x1p-149;
        check(std::fabs(got - wanted) <= room, "centroid %lld, dimension %zu is %.9g, the mean %.17g",
              static_cast<long long>(c), j, got, wanted);
      }
    }
  }

  // Some rows; of dot at length 1, as centroids are.
  std::vector<float> start() const {
    std::vector<float> start;
    for (int32_t c = 0; c < options_.clusters; ++c) {
      const int64_t row = c * rows_ / options_.clusters;
      double norm = 0;
      for (int32_t j = 0; j < dim(); ++j) norm += std::pow(value(row, j), 2);
      norm = p_.metric() == NF_DOT ? std::sqrt(norm) : 1;
      for (int32_t j = 0; j < dim(); ++j)
        start.push_back(static_cast<float>(norm == 0 ? (j == 0 ? 1 : 0) : value(row, j) / norm));
    }
    return start;
  }

  int32_t dim() const { return bench_.spec.dim; }
  int64_t rows() const { return rows_; }
  double value(int64_t row, int32_t j) const { return static_cast<double>(p_.data().row(row)[j]); }

 private:
  const Bench& bench_;
  const Problem& p_;
  int64_t rows_;
  KmeansOptions options_;
};

}  // namespace nearfield::test
