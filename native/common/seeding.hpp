// SPDX-License-Identifier: Apache-2.0
// k-means|| (Bahmani et al. 2012, arXiv 1203.6402): in rounds rows are drawn by their cost, many at a time,
// and of these candidates, weighted by the rows that are nearest to each, k-means++ draws the centroids.
// Passes over the rows are few, and a far group is drawn however small its share is: costs are summed in f64.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "centroids.hpp"
#include "points.hpp"
#include "random.hpp"

namespace nearfield {

class Seeding {
 public:
  // Rounds, each with as many candidates as half the clusters on average: by the paper's figures as good as
  // k-means++ from 2.5 candidates a cluster on.
  static constexpr int kRounds = 5;

  // The points outlive it. `may_be_short`: rows that lie in fewer places give fewer centroids.
  Seeding(const Points& points, int64_t clusters, bool may_be_short, uint64_t seed);

  // A piece of the work: rows of a round, or one centroid. *passed: how many rows.
  Status advance(const Call& call, Context& context, const Piece& piece, Passed* passed);
  bool is_done() const { return phase_ == Phase::kDone; }
  // `clusters` times dim floats.
  std::vector<float> take_centroids() { return std::move(seeds_); }

 private:
  enum class Phase { kRound, kReduce, kDone };
  Status end_round(const Call& call);
  void draw_first();
  int64_t places() const;  // candidates that are nearest to any row
  void draw_candidates(double cost);
  void begin_reduce();
  void reduce();
  // Of a row, weighted.
  double cost(int64_t i) const { return points_.weight(i) * points_.cost(ranks_[static_cast<size_t>(i)]); }
  void append(int64_t row, std::vector<float>* to) const;

  const Points& points_;
  const int64_t clusters_;
  const bool may_be_short_;
  Random random_;
  Phase phase_ = Phase::kRound;
  int rounds_ = 0;
  int64_t next_ = 0, fresh_ = 0;          // of the rows; of the candidates, the first of this round
  std::vector<int64_t> candidates_;       // rows
  std::unique_ptr<Centroids> centroids_;  // those of this round
  std::vector<float> ranks_;              // of each row, to its nearest candidate
  std::vector<int32_t> nearest_;
  std::vector<Hit> hits_;
  // k-means++.
  std::vector<float> rows_;              // of the candidates
  std::vector<double> weights_, least_;  // of each; its least square of a distance to a seed
  std::vector<float> seeds_;
};

}  // namespace nearfield
