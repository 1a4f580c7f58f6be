// SPDX-License-Identifier: Apache-2.0
// What the rows of each cluster sum up to: in f64, row after row in their order, so that the bits are the
// same for every number of threads and every division into slices.
#pragma once

#include <cstdint>
#include <vector>

#include "points.hpp"

namespace nearfield {

class ClusterSums {
 public:
  void reset(int64_t clusters, int64_t dim);
  // Rows [first, first + count), of which row i belongs to labels[i - first]. Threads share the dimensions.
  void add(const Points& points, int64_t first, int64_t count, const int32_t* labels, int32_t threads);
  // Takes a row from one cluster to another.
  void move(const Points& points, int64_t row, int32_t from, int32_t to);

  double mass(int64_t cluster) const { return masses_[static_cast<size_t>(cluster)]; }  // of its weights
  int64_t members(int64_t cluster) const {                                              // of a weight above 0
    return members_[static_cast<size_t>(cluster)];
  }
  // The centroid, to dim floats: the mean, of cosine its direction. False where the rows have none: `to` is
  // untouched.
  bool centroid(int32_t metric, int64_t cluster, float* to) const;

 private:
  void count(const Points& points, int64_t row, int32_t cluster, int sign);

  int64_t dim_ = 0;
  std::vector<double> sums_;  // weight x row
  std::vector<double> masses_;
  std::vector<int64_t> members_;
};

// `from` at length 1.
void normalise(const double* from, double norm, int64_t dim, float* to);

}  // namespace nearfield
