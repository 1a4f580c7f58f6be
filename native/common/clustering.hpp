// SPDX-License-Identifier: Apache-2.0
// Seeding and Lloyd's iterations, of one level or two.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lloyd.hpp"
#include "points.hpp"
#include "seeding.hpp"

namespace nearfield {

class Clustering {
 public:
  // `start` empty: seeded. The points outlive it.
  Clustering(const Points& points, int64_t clusters, const LloydOptions& options, std::vector<float> start);

  // A piece of the work. *passed: rows.
  Status advance(const Call& call, Context& context, const Piece& piece, Passed* passed);
  bool is_done() const { return lloyd_ != nullptr && lloyd_->is_done(); }
  Lloyd& lloyd() { return *lloyd_; }
  // Rows that pass, unless it ends early or goes on for a repair.
  static int64_t planned(int64_t rows, int32_t iterations, bool seeded);

 private:
  const Points& points_;
  const LloydOptions options_;
  std::unique_ptr<Seeding> seeding_;
  std::unique_ptr<Lloyd> lloyd_;
};

// A start for many clusters by two levels: the rows are clustered into about as many parts as the square root
// of the clusters, and each part into its share of the clusters, by weight. Rows times clusters products are
// not done until Lloyd's iterations begin (cuVS, kmeans_balanced.cuh).
class TwoLevels {
 public:
  // Up to here one level: k-means++ draws from 2.5 candidates a cluster, the square of the clusters.
  static constexpr int64_t kMostOfOneLevel = 4096;

  TwoLevels(const Points& points, int64_t clusters, const LloydOptions& options);

  Status advance(const Call& call, Context& context, const Piece& piece, Passed* passed);
  bool is_done() const { return done_; }
  std::vector<float> take_centroids() { return std::move(start_); }

 private:
  void divide();
  void begin_part();

  const Points& points_;
  const int64_t clusters_;
  LloydOptions options_;
  std::unique_ptr<Clustering> coarse_, fine_;
  std::vector<int64_t> shares_;             // clusters of each part
  std::vector<std::vector<int64_t>> rows_;  // of each part
  Points part_;
  size_t next_ = 0;  // part
  std::vector<float> start_;
  bool done_ = false;
};

}  // namespace nearfield
