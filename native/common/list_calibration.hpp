// SPDX-License-Identifier: Apache-2.0
// How much is found after how many lists, measured on some of an index's own rows as queries, each without
// itself.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "backend.hpp"
#include "coarse_quantizer.hpp"
#include "lists.hpp"
#include "recall.hpp"

namespace nearfield {

// Lists among which the shares of a query's neighbours are divided: a quarter of them. Of clusters that
// overlap (100,000 x 64 in 256 lists) a recall of .95 needs more than that, so that few lists count whole.
constexpr int32_t recall_candidates(int32_t lists) {
  return std::min(lists, std::clamp(lists / 4, 256, 512));
}

class ListCalibration {
 public:
  // Recall is measured at this k.
  static constexpr int32_t kHits = 10;
  // Queries for an index of so many rows. A standard error of 256 is 0.4 points at .95; an index of fewer
  // than 2,048 rows, which is read whole in the time of a call, has a coarser estimate.
  static int64_t queries(int64_t rows) { return std::min(rows, std::clamp<int64_t>(rows / 8, 32, 256)); }

  // `rows`: numbers of live rows.
  ListCalibration(std::vector<int64_t> rows, int32_t dim);
  bool is_done() const { return next_ == rows_.size(); }
  // Some of the queries; the last piece gives *to.
  Status advance(const Call& call, Store& store, CoarseQuantizer& coarse, const Lists& lists,
                 RecallModel* to);

 private:
  void measure(CoarseQuantizer& coarse, const Lists& lists, int64_t place, std::span<const Hit> hits,
               std::span<const Hit> order);

  std::vector<int64_t> rows_;
  size_t next_ = 0;
  const int32_t dim_;
  std::vector<RecallModel> models_;  // balls of dim, dim / 2 ... dimensions
};

}  // namespace nearfield
