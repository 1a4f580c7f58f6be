// SPDX-License-Identifier: Apache-2.0
#include "recall.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace nearfield {

Caps::Caps(int32_t dim) : dim_(dim), table_(kEntries + 1) {
  // A slice at t has (1 - t^2)^((dim - 1) / 2) of the volume of the middle one; sums of Simpson's rule from
  // the rim on.
  constexpr int kSteps = 8;  // of an entry
  const double power = (dim - 1) / 2.0;
  const auto slice = [&](int i) {
    const double t = static_cast<double>(i) / (kEntries * kSteps);
    return i == kEntries * kSteps ? (dim == 1 ? 1.0 : 0.0) : std::exp(power * std::log1p(-t * t));
  };
  std::vector<double> beyond(kEntries + 1);
  for (int entry = kEntries - 1; entry >= 0; --entry) {
    double sum = 0;
    for (int step = 0; step < kSteps; step += 2) {
      const int i = entry * kSteps + step;
      sum += slice(i) + 4 * slice(i + 1) + slice(i + 2);
    }
    beyond[static_cast<size_t>(entry)] = beyond[static_cast<size_t>(entry) + 1] + sum;
  }
  for (size_t i = 0; i < table_.size(); ++i) table_[i] = static_cast<float>(beyond[i] / (2 * beyond[0]));
}

double Caps::share(double distance) const {
  if (!(distance < 1)) return 0;
  const double at = std::max(distance, 0.0) * kEntries;
  const auto i = std::min(static_cast<size_t>(at), static_cast<size_t>(kEntries - 1));
  const double part = at - static_cast<double>(i);
  return static_cast<double>(table_[i]) * (1 - part) + static_cast<double>(table_[i + 1]) * part;
}

void list_shares(const Caps& caps, const ListOrder& order, double radius, std::vector<double>* shares) {
  const size_t count = order.squared.size();
  shares->assign(count, 1.0 / static_cast<double>(count));
  if (count == 1 || !std::isfinite(radius)) return;
  double first = 1, sum = 0;
  for (size_t i = 1; i < count; ++i) {
    // To the plane half-way between c_0 and c_i; centroids that coincide share a half.
    const double apart = order.between[i];
    const double plane = apart > 0 ? (order.squared[i] - order.squared[0]) / (2 * apart) : 0;
    const double beyond = radius > 0 ? caps.share(plane / radius) : (plane > 0 ? 0 : 0.5);
    (*shares)[i] = beyond;
    first *= 1 - beyond;
    sum += beyond;
  }
  (*shares)[0] = sum > 0 ? first : 1;
  for (size_t i = 1; i < count; ++i) (*shares)[i] *= sum > 0 ? (1 - first) / sum : 0;
}

double RecallModel::threshold(int i) { return 1 - std::exp2(-0.5 * i); }

RecallModel::RecallModel(std::span<const float> calibration)
    : caps_(std::make_shared<Caps>(static_cast<int32_t>(calibration[kCalibration - 1]))) {
  at_probes_.assign(calibration.begin(), calibration.begin() + kProbes);
  reached_.assign(calibration.begin() + kProbes, calibration.begin() + kProbes + kThresholds);
}

void RecallModel::note(std::span<const double> recall, std::span<const double> estimate) {
  reached_.resize(kThresholds);
  at_probes_.resize(kProbes);
  lists_.resize(kThresholds);
  most_lists_ = std::max(most_lists_, static_cast<double>(recall.size()));
  for (int i = 0; i < kProbes; ++i)
    at_probes_[static_cast<size_t>(i)] += recall[std::min(recall.size(), size_t{1} << i) - 1];
  size_t at = 0;
  for (int i = 0; i < kThresholds; ++i) {
    while (at + 1 < recall.size() && estimate[at] < threshold(i)) ++at;
    reached_[static_cast<size_t>(i)] += recall[at];
    lists_[static_cast<size_t>(i)] += static_cast<double>(at + 1);
  }
  ++noted_;
}

void RecallModel::finish() {
  if (noted_ == 0) return;
  for (std::vector<double>* sums : {&reached_, &at_probes_}) {
    double most = 0;  // a later prefix holds the earlier ones
    for (double& sum : *sums) sum = most = std::max(most, sum / static_cast<double>(noted_));
  }
  for (double& sum : lists_) sum /= static_cast<double>(noted_);
  noted_ = 0;
}

double RecallModel::lists_for(double recall) const {
  const auto at = std::lower_bound(reached_.begin(), reached_.end(), recall);
  if (at == reached_.end()) return most_lists_;
  const auto i = static_cast<size_t>(at - reached_.begin());
  if (i == 0) return lists_[0];
  return lists_[i - 1] +
         (recall - reached_[i - 1]) / (reached_[i] - reached_[i - 1]) * (lists_[i] - lists_[i - 1]);
}

double RecallModel::cost() const {
  if (reached_.empty()) return std::numeric_limits<double>::infinity();
  return std::cbrt(lists_for(0.9) * lists_for(0.95) * lists_for(0.99));
}

double RecallModel::wanted(double recall) const {
  if (reached_.empty()) return recall;
  const auto at = std::lower_bound(reached_.begin(), reached_.end(), recall);
  if (at == reached_.end()) return 1;
  const auto i = static_cast<int>(at - reached_.begin());
  if (i == 0) return threshold(0);
  const double below = reached_[static_cast<size_t>(i) - 1], above = *at;
  const double part = (recall - below) / (above - below);
  return threshold(i - 1) + part * (threshold(i) - threshold(i - 1));
}

double RecallModel::expected(double estimate) const {
  if (reached_.empty()) return estimate;
  int i = 0;
  while (i + 1 < kThresholds && threshold(i + 1) <= estimate) ++i;
  if (i + 1 == kThresholds) return reached_.back();
  const double part = (estimate - threshold(i)) / (threshold(i + 1) - threshold(i));
  const double below = reached_[static_cast<size_t>(i)], above = reached_[static_cast<size_t>(i) + 1];
  return below + std::clamp(part, 0.0, 1.0) * (above - below);
}

int32_t RecallModel::probes(double recall, int32_t lists) const {
  if (at_probes_.empty()) return lists;
  const auto at = std::lower_bound(at_probes_.begin(), at_probes_.end(), recall);
  if (at == at_probes_.end()) return lists;
  const auto i = static_cast<int>(at - at_probes_.begin());
  if (i == 0) return 1;
  // Between two measurements recall grows with the logarithm of the probes.
  const double below = at_probes_[static_cast<size_t>(i) - 1], above = *at;
  const double steps = i - 1 + (recall - below) / (above - below);
  return static_cast<int32_t>(std::min<double>(lists, std::ceil(std::exp2(steps))));
}

double RecallModel::expected_of(int32_t probes) const {
  if (at_probes_.empty()) return 1;
  const double steps = std::log2(static_cast<double>(std::max(probes, 1)));
  const auto i = std::min(static_cast<size_t>(steps), static_cast<size_t>(kProbes - 1));
  if (i + 1 == static_cast<size_t>(kProbes)) return at_probes_[i];
  return at_probes_[i] + (steps - static_cast<double>(i)) * (at_probes_[i + 1] - at_probes_[i]);
}

std::vector<float> RecallModel::calibration() const {
  std::vector<float> all(at_probes_.begin(), at_probes_.end());
  all.insert(all.end(), reached_.begin(), reached_.end());
  all.push_back(static_cast<float>(caps_->dim()));
  return all;
}

}  // namespace nearfield
