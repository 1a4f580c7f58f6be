// SPDX-License-Identifier: Apache-2.0
// Clusters that are empty, or of a balanced clustering too heavy.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <queue>

#include "lloyd.hpp"
#include "random.hpp"

namespace nearfield {
namespace {

// A number of its own for each cluster of each move.
double draw_for(uint64_t seed, int32_t move, int64_t cluster) {
  Random of_move(seed + static_cast<uint64_t>(move) + 1);
  Random random(of_move.next() + static_cast<uint64_t>(cluster));
  return random.uniform();
}

}  // namespace

Lloyd::Members Lloyd::members() const {
  Members members;
  members.begin.assign(static_cast<size_t>(clusters_) + 1, 0);
  for (const int32_t label : labels_) ++members.begin[static_cast<size_t>(label) + 1];
  std::partial_sum(members.begin.begin(), members.begin.end(), members.begin.begin());
  std::vector<int64_t> next(members.begin.begin(), members.begin.end() - 1);
  members.rows.resize(labels_.size());
  for (size_t i = 0; i < labels_.size(); ++i)
    members.rows[static_cast<size_t>(next[static_cast<size_t>(labels_[i])]++)] = static_cast<int64_t>(i);
  return members;
}

// What a row of the cluster counts when one is drawn; 0 of a row that has left it.
double Lloyd::share_of(int64_t cluster, int64_t row) const {
  const auto i = static_cast<size_t>(row);
  if (labels_[i] != cluster) return 0;
  return points_.weight(row) * points_.cost(ranks_[i]);
}

// A row of the cluster, by chance in proportion to its share; -1 where none counts.
int64_t Lloyd::draw(const Members& members, int64_t cluster) const {
  const auto at = static_cast<size_t>(cluster);
  double sum = 0;
  for (int64_t i = members.begin[at]; i < members.begin[at + 1]; ++i)
    sum += share_of(cluster, members.rows[static_cast<size_t>(i)]);
  const double wanted = draw_for(options_.seed, moves_, cluster) * sum;
  int64_t drawn = -1;
  double passed = 0;
  for (int64_t i = members.begin[at]; i < members.begin[at + 1] && passed <= wanted; ++i) {
    const int64_t row = members.rows[static_cast<size_t>(i)];
    const double share = share_of(cluster, row);
    if (share > 0) drawn = row;
    passed += share;
  }
  return drawn;
}

// Each empty cluster gets a row of the cluster of most cost, drawn by cost, so that the inertia falls; what
// is left there counts half afterwards.
Status Lloyd::repair(const Call& call, int64_t* repaired) {
  const Members members = this->members();
  using Donor = std::pair<double, int64_t>;
  const auto less = [](const Donor& a, const Donor& b) {
    return a.first < b.first || (a.first == b.first && a.second > b.second);
  };
  std::priority_queue<Donor, std::vector<Donor>, decltype(less)> donors(less);
  std::vector<int64_t> empty;
  for (int64_t i = 0; i < clusters_; ++i) {
    if (sums_.members(i) == 0) empty.push_back(i);
    if (costs_[static_cast<size_t>(i)] > 0 && sums_.members(i) > 1)
      donors.emplace(costs_[static_cast<size_t>(i)], i);
  }
  *repaired = 0;
  for (const int64_t cluster : empty) {
    int64_t row = -1;
    while (row < 0 && !donors.empty()) {
      const auto [cost, donor] = donors.top();
      donors.pop();
      row = sums_.members(donor) > 1 ? draw(members, donor) : -1;
      if (row < 0) continue;
      sums_.move(points_, row, static_cast<int32_t>(donor), static_cast<int32_t>(cluster));
      labels_[static_cast<size_t>(row)] = static_cast<int32_t>(cluster);
      donors.emplace(cost / 2, donor);
    }
    if (row < 0) break;
    ++*repaired;
  }
  const int64_t left = static_cast<int64_t>(empty.size()) - *repaired;
  if (left == 0 || options_.may_be_short) return {};
  return error(NF_INVALID_ARGUMENT, "%s: clusters=%lld, the rows lie in %lld different places",
               call.operation(), static_cast<long long>(clusters_), static_cast<long long>(clusters_ - left));
}

// The lightest clusters are given up for a second centroid within the heaviest: an eighth of the way from the
// old one to a row of it, so that the plane between the two halves it.
void Lloyd::rebalance(std::vector<float>* centroids) const {
  std::vector<int64_t> order(static_cast<size_t>(clusters_));
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [this](int64_t a, int64_t b) { return sums_.mass(a) < sums_.mass(b); });
  const Members members = this->members();
  const double mean = total_ / static_cast<double>(clusters_);
  size_t light = 0;
  for (size_t i = order.size(); i-- > light;) {
    const int64_t heavy = order[i];
    if (sums_.mass(heavy) <= mean) break;
    if (!is_heavy(heavy)) continue;
    if (sums_.mass(order[light]) > mean) break;
    const int64_t row = draw(members, heavy);
    if (row < 0) continue;
    const int64_t given_up = order[light++];
    const float* const centre = centroids->data() + heavy * points_.dim;
    float* const to = centroids->data() + given_up * points_.dim;
    std::vector<double> at(static_cast<size_t>(points_.dim));
    double squared = 0;
    for (size_t j = 0; j < at.size(); ++j) {
      const auto c = static_cast<double>(centre[j]);
      at[j] = c + (static_cast<double>(points_.row(row)[j]) - c) / 8;
      squared += at[j] * at[j];
    }
    normalise(at.data(), points_.metric == NF_L2SQ ? 1 : std::sqrt(squared), points_.dim, to);
  }
}

}  // namespace nearfield
