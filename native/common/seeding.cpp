// SPDX-License-Identifier: Apache-2.0
#include "seeding.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "cluster_sums.hpp"

namespace nearfield {
namespace {

// Where one row in a million has nearly all of the cost, a round draws little else. More rounds than there
// are powers of ten in f32 change nothing.
constexpr int kMostRounds = 80;

// Sixteen partial sums, for vector registers of any width. 0 only where all differences are, or vanish when
// they are squared.
float squared_distance(const float* a, const float* b, int64_t dim) {
  constexpr int64_t kSums = 16;
  float sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= dim; i += kSums)
    for (int64_t j = 0; j < kSums; ++j) sums[j] += (a[i + j] - b[i + j]) * (a[i + j] - b[i + j]);
  for (int64_t j = 0; i + j < dim; ++j) sums[j] += (a[i + j] - b[i + j]) * (a[i + j] - b[i + j]);
  float sum = 0;
  for (const float partial : sums) sum += partial;
  return sum;
}

// The first of the shares whose sum passes a number drawn below that of all; -1 where all are 0.
template <typename Share>
int64_t draw(int64_t count, const Share& share, Random* random) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += share(i);
  const double wanted = random->uniform() * sum;
  double passed = 0;
  int64_t drawn = -1;
  for (int64_t i = 0; i < count && passed <= wanted; ++i) {
    const double here = share(i);
    if (here > 0) drawn = i;
    passed += here;
  }
  return drawn;
}

}  // namespace

Seeding::Seeding(const Points& points, int64_t clusters, bool may_be_short, uint64_t seed)
    : points_(points),
      clusters_(clusters),
      may_be_short_(may_be_short),
      random_(seed),
      ranks_(static_cast<size_t>(points.count()), std::numeric_limits<float>::max()),
      nearest_(ranks_.size(), 0) {}

Status Seeding::advance(const Call& call, Context& context, const Piece& piece, Passed* passed) {
  *passed = {};
  if (phase_ == Phase::kReduce) {
    reduce();
    return {};
  }
  if (centroids_ == nullptr) {
    if (candidates_.empty()) draw_first();
    std::vector<float> fresh;
    for (size_t i = static_cast<size_t>(fresh_); i < candidates_.size(); ++i) append(candidates_[i], &fresh);
    NF_TRY(Centroids::create(call, context, points_.metric, points_.mean, std::move(fresh), points_.count(),
                             &centroids_));
  }
  const int64_t first = next_, rows = piece.rows_against(centroids_->count(), points_.dim);
  const int64_t count = std::min(rows, points_.count() - first);
  hits_.resize(static_cast<size_t>(count));
  NF_TRY(centroids_->nearest(call, points_.row(first), count, ranks_.data() + first, hits_.data()));
  for (int64_t i = 0; i < count; ++i) {
    const Hit& hit = hits_[static_cast<size_t>(i)];
    const auto at = static_cast<size_t>(first + i);
    if (hit.row == kNoRow || hit.rank >= ranks_[at]) continue;
    ranks_[at] = hit.rank;
    nearest_[at] = static_cast<int32_t>(fresh_ + hit.row);
  }
  next_ += count;
  *passed = {count, count * centroids_->count() * points_.dim};
  return next_ == points_.count() ? end_round(call) : Status();
}

void Seeding::draw_first() {
  const int64_t row = draw(
      points_.count(), [this](int64_t i) { return points_.weight(i); }, &random_);
  candidates_.push_back(std::max<int64_t>(0, row));
}

void Seeding::append(int64_t row, std::vector<float>* to) const {
  to->insert(to->end(), points_.row(row), points_.row(row) + points_.dim);
}

int64_t Seeding::places() const {
  std::vector<bool> met(candidates_.size());
  for (int64_t i = 0; i < points_.count(); ++i)
    if (points_.weight(i) > 0) met[static_cast<size_t>(nearest_[static_cast<size_t>(i)])] = true;
  return std::count(met.begin(), met.end(), true);
}

Status Seeding::end_round(const Call& call) {
  centroids_.reset();
  next_ = 0;
  fresh_ = static_cast<int64_t>(candidates_.size());
  double left = 0;
  for (int64_t i = 0; i < points_.count(); ++i) left += cost(i);
  if (rounds_ < kRounds && clusters_ > 1 && left > 0) {
    draw_candidates(left);
    return {};
  }
  const int64_t found = places();
  if (found < clusters_ && left > 0 && rounds_ < kMostRounds) {
    draw_candidates(left);
    return {};
  }
  if (found < clusters_ && left == 0 && !may_be_short_)
    return error(NF_INVALID_ARGUMENT, "%s: clusters=%lld, the rows lie in %lld different places",
                 call.operation(), static_cast<long long>(clusters_), static_cast<long long>(found));
  begin_reduce();
  return {};
}

// Each row by itself, so that their number varies about clusters / 2; at least one.
void Seeding::draw_candidates(double cost) {
  ++rounds_;
  const double wanted = std::max(1.0, static_cast<double>(clusters_) / 2);
  for (int64_t i = 0; i < points_.count(); ++i)
    if (random_.uniform() * cost < wanted * this->cost(i)) candidates_.push_back(i);
  if (static_cast<int64_t>(candidates_.size()) > fresh_) return;
  candidates_.push_back(draw(
      points_.count(), [this](int64_t i) { return this->cost(i); }, &random_));
}

void Seeding::begin_reduce() {
  phase_ = Phase::kReduce;
  weights_.assign(candidates_.size(), 0.0);
  for (int64_t i = 0; i < points_.count(); ++i)
    weights_[static_cast<size_t>(nearest_[static_cast<size_t>(i)])] += points_.weight(i);
  for (const int64_t row : candidates_) append(row, &rows_);
  least_.assign(candidates_.size(), std::numeric_limits<double>::max());
  ranks_ = {};
  nearest_ = {};
}

// One more centroid.
void Seeding::reduce() {
  const auto count = static_cast<int64_t>(candidates_.size());
  const bool first = seeds_.empty();
  const int64_t drawn = draw(
      count,
      [&](int64_t i) {
        const auto at = static_cast<size_t>(i);
        return first ? weights_[at] : weights_[at] * least_[at];
      },
      &random_);
  if (drawn < 0 && first) {  // no row counts
    seeds_.assign(rows_.begin(), rows_.begin() + points_.dim);
  } else if (drawn >= 0) {
    const float* const seed = rows_.data() + drawn * points_.dim;
    seeds_.insert(seeds_.end(), seed, seed + points_.dim);
    for (int64_t i = 0; i < count; ++i) {
      const float* const row = rows_.data() + i * points_.dim;
      // Of unit vectors half the square is the cost.
      const float squared = squared_distance(row, seed, points_.dim);
      const float rank = points_.metric == NF_L2SQ ? squared : squared / 2;
      double& least = least_[static_cast<size_t>(i)];
      least = std::min(least, points_.cost(rank));
    }
  }
  if (drawn >= 0 && static_cast<int64_t>(seeds_.size()) < clusters_ * points_.dim) return;
  // What is missing is the first again: empty clusters, which Lloyd gives rows if it can.
  const std::vector<float> again(seeds_.begin(), seeds_.begin() + points_.dim);
  while (static_cast<int64_t>(seeds_.size()) < clusters_ * points_.dim)
    seeds_.insert(seeds_.end(), again.begin(), again.end());
  phase_ = Phase::kDone;
}

}  // namespace nearfield
