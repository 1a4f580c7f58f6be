// SPDX-License-Identifier: Apache-2.0
#include "lloyd.hpp"

#include <algorithm>
#include <thread>
#include <utility>

namespace nearfield {
namespace {

// Moves beyond those asked for, while a cluster is empty; and, while one is too heavy, as many again.
constexpr int32_t kRepairs = 16;

int32_t host_threads(const Context& context) {
  const int32_t given = context.options().threads;
  return given != 0 ? given : static_cast<int32_t>(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace

Lloyd::Lloyd(const Points& points, const LloydOptions& options, std::vector<float> centroids)
    : points_(points),
      options_(options),
      clusters_(static_cast<int64_t>(centroids.size()) / points.dim),
      start_(std::move(centroids)),
      labels_(static_cast<size_t>(points.count()), 0),
      ranks_(labels_.size(), 0.0f),
      costs_(static_cast<size_t>(clusters_), 0.0) {
  sums_.reset(clusters_, points.dim);
  for (int64_t i = 0; i < points.count(); ++i) total_ += points.weight(i);
}

Status Lloyd::advance(const Call& call, Context& context, const Piece& piece, Passed* passed) {
  if (centroids_ == nullptr)
    NF_TRY(Centroids::create(call, context, points_.metric, points_.mean, std::move(start_), points_.count(),
                             &centroids_));
  const int64_t first = next_, rows = piece.rows_against(clusters_, points_.dim);
  const int64_t count = std::min(rows, points_.count() - first);
  const auto size = static_cast<size_t>(count);
  const float* const from = points_.row(first);
  int32_t* const labels = labels_.data() + first;
  hits_.resize(size);
  // Nothing farther than the centroid of before is wanted, wherever that has moved.
  limits_.resize(size);
  if (labelled_) NF_TRY(centroids_->ranks(call, from, count, labels, limits_.data()));
  NF_TRY(centroids_->nearest(call, from, count, labelled_ ? limits_.data() : nullptr, hits_.data(), first));
  for (int64_t i = 0; i < count; ++i) {
    const Hit& hit = hits_[static_cast<size_t>(i)];
    if (hit.row == kNoRow)
      return error(NF_INTERNAL, "%s: no centroid is as near to a row as that of before", call.operation());
    const auto label = static_cast<int32_t>(hit.row);
    changed_ += label != labels[i] || !labelled_ ? 1 : 0;
    labels[i] = label;
    ranks_[static_cast<size_t>(first + i)] = hit.rank;
    costs_[static_cast<size_t>(label)] += points_.weight(first + i) * points_.cost(hit.rank);
  }
  sums_.add(points_, first, count, labels, host_threads(context));
  next_ += count;
  *passed = {count, count * clusters_ * points_.dim};
  return next_ == points_.count() ? end_pass(call) : Status();
}

Status Lloyd::end_pass(const Call& call) {
  const bool settled = labelled_ && changed_ == 0;
  labelled_ = true;
  const bool is_short = empty_clusters() != 0, heavy = options_.balanced && has_heavy();
  const int32_t most =
      options_.iterations + (is_short || heavy ? kRepairs : 0) + (heavy ? options_.iterations : 0);
  done_ = moves_ >= most || (settled && !is_short && !heavy);
  if (done_) return {};
  int64_t repaired = 0;
  if (is_short) NF_TRY(repair(call, &repaired));
  if (is_short && repaired == 0 && settled && !heavy) {
    done_ = true;  // what is empty stays so
    return {};
  }
  std::vector<float> moved = centroids_->rows();
  for (int64_t i = 0; i < clusters_; ++i) sums_.centroid(points_.metric, i, moved.data() + i * points_.dim);
  if (heavy) rebalance(&moved);
  NF_TRY(centroids_->replace(call, std::move(moved)));
  ++moves_;
  next_ = changed_ = 0;
  sums_.reset(clusters_, points_.dim);
  costs_.assign(costs_.size(), 0.0);
  return {};
}

int64_t Lloyd::empty_clusters() const {
  int64_t count = 0;
  for (int64_t i = 0; i < clusters_; ++i) count += sums_.members(i) == 0 ? 1 : 0;
  return count;
}

bool Lloyd::is_heavy(int64_t cluster) const {
  constexpr double kMostShare = 2;  // of the mean
  return sums_.mass(cluster) > kMostShare * total_ / static_cast<double>(clusters_) &&
         costs_[static_cast<size_t>(cluster)] > 0;
}

bool Lloyd::has_heavy() const {
  for (int64_t i = 0; i < clusters_; ++i)
    if (is_heavy(i)) return true;
  return false;
}

double Lloyd::inertia() const {
  double sum = 0;
  for (int64_t i = 0; i < points_.count(); ++i)
    sum += points_.weight(i) * static_cast<double>(ranks_[static_cast<size_t>(i)]);
  return sum;
}

}  // namespace nearfield
