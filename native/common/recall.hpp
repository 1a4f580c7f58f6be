// SPDX-License-Identifier: Apache-2.0
// How much of an answer a query has found after some of its lists, estimated: Adaptive Partition Scanning of
// Quake (Mohoney et al. 2025, arXiv 2506.03437). The true neighbours are taken to lie evenly in the ball
// around the query that the k-th hit so far gives; what lies beyond the plane half-way between the nearest
// centroid and another one is that other list's share. The estimate needs no training; how it is biased on
// the rows at hand is measured on some of them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "nearfield/nearfield.h"

namespace nearfield {

// Of a ball in so many dimensions.
class Caps {
 public:
  explicit Caps(int32_t dim);
  int32_t dim() const { return dim_; }
  // The share of its volume beyond a plane that is `distance` radii from its centre, 1/2 I(1 - distance^2;
  // (dim + 1) / 2, 1/2) with the incomplete beta function.
  double share(double distance) const;

 private:
  // Linear between 1,001 entries, as in Quake: at 3,072 dimensions a share halves within ten of them.
  static constexpr int kEntries = 1000;
  int32_t dim_;
  std::vector<float> table_;
};

// The lists of a query, nearest first.
struct ListOrder {
  std::span<const double> squared;  // |q-c|^2
  std::span<const double> between;  // |c - c_0|
};

// The share of the neighbours within `radius` of the query that each list of the order holds, by the
// estimate; the sum is
// 1. With a radius of infinity nothing is known: every list counts the same.
void list_shares(const Caps& caps, const ListOrder& order, double radius, std::vector<double>* shares);

class RecallModel {
 public:
  // Recall is measured at these estimates: 1 - 2^(-i/2).
  static constexpr int kThresholds = 28;
  static double threshold(int i);

  // Nothing is measured: an estimate is taken at its word. `dim`: of the ball. Rows seldom fill all their
  // dimensions, and the ball of fewer, of which more lies near its rim, then tells far lists apart where that
  // of all would see nothing.
  explicit RecallModel(int32_t dim) : caps_(std::make_shared<Caps>(dim)) {}
  // As calibration() gave it.
  explicit RecallModel(std::span<const float> calibration);

  const Caps& caps() const { return *caps_; }
  // Measurements of one query: `recall` of each prefix of its lists and the estimate there.
  void note(std::span<const double> recall, std::span<const double> estimate);
  void finish();
  bool is_measured() const { return !reached_.empty(); }
  // How many lists this model takes for recalls of 0.9, 0.95 and 0.99, as the geometric mean; of note()s.
  double cost() const;

  // The estimate to go on to for this mean recall.
  double wanted(double recall) const;
  // The mean recall at this estimate.
  double expected(double estimate) const;
  // Where there is no estimate: as many lists as give this mean recall.
  int32_t probes(double recall, int32_t lists) const;
  double expected_of(int32_t probes) const;
  // Recall at 1, 2, 4 ... probes (17), then at each threshold, then the ball's dimensions.
  std::vector<float> calibration() const;
  static constexpr int kProbes = 17;  // up to 65,536
  static constexpr int64_t kCalibration = kProbes + kThresholds + 1;
  static_assert(kCalibration == NF_CALIBRATION);

 private:
  double lists_for(double recall) const;

  std::shared_ptr<const Caps> caps_;
  std::vector<double> reached_, at_probes_, lists_;
  double most_lists_ = 0;
  int64_t noted_ = 0;
};

}  // namespace nearfield
