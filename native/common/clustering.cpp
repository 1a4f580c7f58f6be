// SPDX-License-Identifier: Apache-2.0
#include "clustering.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace nearfield {

Clustering::Clustering(const Points& points, int64_t clusters, const LloydOptions& options,
                       std::vector<float> start)
    : points_(points), options_(options) {
  if (start.empty())
    seeding_ = std::make_unique<Seeding>(points, clusters, options.may_be_short, options.seed);
  else
    lloyd_ = std::make_unique<Lloyd>(points, options, std::move(start));
}

int64_t Clustering::planned(int64_t rows, int32_t iterations, bool seeded) {
  return rows * ((seeded ? Seeding::kRounds + 1 : 0) + iterations + 1);
}

Status Clustering::advance(const Call& call, Context& context, const Piece& piece, Passed* passed) {
  if (lloyd_ != nullptr) return lloyd_->advance(call, context, piece, passed);
  NF_TRY(seeding_->advance(call, context, piece, passed));
  if (!seeding_->is_done()) return {};
  lloyd_ = std::make_unique<Lloyd>(points_, options_, seeding_->take_centroids());
  seeding_.reset();
  return {};
}

TwoLevels::TwoLevels(const Points& points, int64_t clusters, const LloydOptions& options)
    : points_(points), clusters_(clusters), options_(options) {
  options_.may_be_short = true;
  const auto parts = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(clusters))));
  coarse_ = std::make_unique<Clustering>(points, parts, options_, std::vector<float>());
}

Status TwoLevels::advance(const Call& call, Context& context, const Piece& piece, Passed* passed) {
  if (coarse_ != nullptr) {
    NF_TRY(coarse_->advance(call, context, piece, passed));
    if (coarse_->is_done()) divide();
    return {};
  }
  NF_TRY(fine_->advance(call, context, piece, passed));
  if (!fine_->is_done()) return {};
  const std::vector<float>& found = fine_->lloyd().centroids().rows();
  start_.insert(start_.end(), found.begin(), found.end());
  begin_part();
  return {};
}

// To each part one cluster, and of the others its share by weight, but no more than it has rows; what is left
// goes to the parts that are owed most.
void TwoLevels::divide() {
  Lloyd& coarse = coarse_->lloyd();
  const auto parts = static_cast<size_t>(coarse.clusters());
  rows_.resize(parts);
  std::vector<double> masses(parts);
  double total = 0;
  for (int64_t i = 0; i < points_.count(); ++i) {
    const auto part = static_cast<size_t>(coarse.labels()[static_cast<size_t>(i)]);
    if (points_.weight(i) == 0) continue;
    rows_[part].push_back(i);
    masses[part] += points_.weight(i);
    total += points_.weight(i);
  }
  shares_.resize(parts);
  int64_t given = 0;
  for (size_t i = 0; i < parts; ++i) {
    const auto most = static_cast<int64_t>(rows_[i].size());
    const double share = static_cast<double>(clusters_) * masses[i] / total;
    shares_[i] = std::clamp<int64_t>(static_cast<int64_t>(share), std::min<int64_t>(1, most), most);
    given += shares_[i];
  }
  std::vector<size_t> order(parts);
  std::iota(order.begin(), order.end(), size_t{0});
  const auto owed = [&](size_t i) {
    return static_cast<double>(clusters_) * masses[i] / total - static_cast<double>(shares_[i]);
  };
  while (given != clusters_) {
    const int64_t step = given < clusters_ ? 1 : -1;
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return static_cast<double>(step) * (owed(a) - owed(b)) > 0; });
    for (const size_t i : order) {
      if (given == clusters_) break;
      const int64_t share = shares_[i] + step;
      if (share < 1 || share > static_cast<int64_t>(rows_[i].size())) continue;
      shares_[i] = share;
      given += step;
    }
  }
  coarse_.reset();
  begin_part();
}

// The next part that has rows.
void TwoLevels::begin_part() {
  fine_.reset();
  while (next_ < rows_.size() && shares_[next_] == 0) ++next_;
  done_ = next_ == rows_.size();
  if (done_) {
    part_ = {};
    return;
  }
  part_ = points_.gather(rows_[next_]);
  LloydOptions options = options_;
  options.seed += next_ + 1;
  fine_ = std::make_unique<Clustering>(part_, shares_[next_], options, std::vector<float>());
  rows_[next_] = {};
  ++next_;
}

}  // namespace nearfield
