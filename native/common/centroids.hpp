// SPDX-License-Identifier: Apache-2.0
// Centroids on the device, which rows are searched for the nearest of.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backend.hpp"
#include "context.hpp"
#include "points.hpp"

namespace nearfield {

class Centroids {
 public:
  // `rows`: tight; so many queries meet them in a pass, around `mean`.
  static Status create(const Call& call, Context& context, int32_t metric, const std::vector<float>& mean,
                       std::vector<float> rows, int64_t queries, std::unique_ptr<Centroids>* out);

  int64_t count() const { return static_cast<int64_t>(rows_.size()) / dim_; }
  const std::vector<float>& rows() const { return rows_; }
  // In the place of the old ones; those that differ are written.
  Status replace(const Call& call, std::vector<float> rows);
  // Prepared rows, padded_dim apart, to the nearest of each by (rank, row). `limits`: as in SearchPlan.
  // `number`: of the first row, where these are the same whenever they come; -1: they do not come again.
  Status nearest(const Call& call, const float* rows, int64_t count, const float* limits, Hit* hits,
                 int64_t number = -1);
  // The rank of each row and the centroid of its number.
  Status ranks(const Call& call, const float* rows, int64_t count, const int32_t* numbers, float* ranks);

 private:
  Centroids(int32_t metric, int64_t dim, std::vector<float> rows)
      : metric_(metric), dim_(dim), rows_(std::move(rows)) {}
  float side(const std::vector<float>& rows, int64_t i) const;

  int32_t metric_;
  int64_t dim_;
  std::vector<float> rows_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<KeptQueries> kept_;
  std::vector<int64_t> offsets_, numbers_;  // of ranks(), kept
};

}  // namespace nearfield
