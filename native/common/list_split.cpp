// SPDX-License-Identifier: Apache-2.0
#include "list_split.hpp"

#include <algorithm>
#include <numeric>

#include "list_train.hpp"
#include "metric.hpp"
#include "random.hpp"

namespace nearfield {

namespace {
// 4 MiB of vectors: about 1 ms on a host.
constexpr int64_t kBlockFloats = int64_t{1} << 20;
}  // namespace

void ListSplit::choose(const ListBuild::Source& from) {
  const Lists& lists = from.listed->lists;
  std::vector<int64_t> places;
  for (const GroupRun& run : lists.runs(list_))
    for (int64_t place = run.first * kGroupRows; place < (run.first + run.count) * kGroupRows; ++place) {
      const uint32_t number = lists.number_of_place()[place];
      if (number != Lists::kNoNumber && from.live.is_live(number)) places.push_back(place);
    }
  live_ = static_cast<int64_t>(places.size());
  Random random(static_cast<uint64_t>(live_));
  sample_ = strata(live_, std::min(live_, kListSampleRows * most_), &random);
  for (int64_t& rank : sample_) rank = places[static_cast<size_t>(rank)];
  points_ = points_for(from.rules.metric, from.dim, static_cast<int64_t>(sample_.size()));
  phase_ = sample_.size() < 2 ? Phase::kDone : Phase::kRead;
}

Status ListSplit::read(const Call& call, const ListBuild::Source& from) {
  const auto dim = static_cast<int64_t>(from.dim);
  const int64_t count =
      std::min(static_cast<int64_t>(sample_.size()) - read_, std::max<int64_t>(1, kBlockFloats / dim));
  std::vector<float> vectors(static_cast<size_t>(count * dim));
  NF_TRY(from.store.read(
      std::span<const int64_t>(sample_).subspan(static_cast<size_t>(read_), static_cast<size_t>(count)),
      vectors.data(), dim, call));
  for (int64_t i = 0; i < count; ++i, ++read_) {
    const float* const row = vectors.data() + i * dim;
    set_point(from.rules.metric, row, squared_norm(row, dim), read_, &points_);
  }
  if (read_ < static_cast<int64_t>(sample_.size())) return {};
  points_.find_mean();
  LloydOptions options;
  options.iterations = kListIterations;
  options.balanced = true;
  options.may_be_short = true;
  options.seed = static_cast<uint64_t>(list_);
  // Of dot zero rows weigh nothing, and where there are no others there is nothing to tell apart.
  const bool is_nothing = std::accumulate(points_.weights.begin(), points_.weights.end(), 0.0) == 0;
  const int64_t clusters = std::min(most_, static_cast<int64_t>(sample_.size()));
  phase_ = is_nothing ? Phase::kDone : Phase::kCluster;
  if (!is_nothing)
    clustering_ = std::make_unique<Clustering>(points_, clusters, options, std::vector<float>());
  return {};
}

// A cluster of few rows would be merged again: its rows go to the others.
void ListSplit::take_centroids() {
  Lloyd& lloyd = clustering_->lloyd();
  std::vector<int64_t> rows(static_cast<size_t>(lloyd.clusters()), 0);
  for (const int32_t label : lloyd.labels()) ++rows[static_cast<size_t>(label)];
  const auto dim = static_cast<size_t>(points_.dim);
  const std::vector<float>& all = lloyd.centroids().rows();
  for (size_t i = 0; i < rows.size(); ++i) {
    const double share = static_cast<double>(rows[i]) / static_cast<double>(sample_.size());
    if (rows[i] == 0 || share * static_cast<double>(live_) < static_cast<double>(least_)) continue;
    centroids_.insert(centroids_.end(), all.begin() + static_cast<ptrdiff_t>(i * dim),
                      all.begin() + static_cast<ptrdiff_t>((i + 1) * dim));
  }
  if (centroids_.size() < 2 * dim) centroids_.clear();
}

Status ListSplit::advance(const Call& call, Context& context, const ListBuild::Source& from) {
  Passed passed;
  switch (phase_) {
    case Phase::kChoose:
      choose(from);
      return {};
    case Phase::kRead:
      return read(call, from);
    case Phase::kCluster:
      NF_TRY(clustering_->advance(call, context, clustering_piece(points_), &passed));
      if (!clustering_->is_done()) return {};
      take_centroids();
      phase_ = Phase::kDone;
      clustering_.reset();
      return {};
    case Phase::kDone:
      break;
  }
  return {};
}

}  // namespace nearfield
