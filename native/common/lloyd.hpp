// SPDX-License-Identifier: Apache-2.0
// Lloyd's iterations: each row to its nearest centroid, each centroid to the mean of its rows.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "centroids.hpp"
#include "cluster_sums.hpp"
#include "points.hpp"

namespace nearfield {

struct LloydOptions {
  int32_t iterations = 0;  // moves of the centroids
  bool balanced = false;
  // Part of a larger clustering: where the rows have fewer places than there are centroids, some stay empty.
  bool may_be_short = false;
  uint64_t seed = 0;
};

class Lloyd {
 public:
  // `centroids`: the start, dim floats each. The points outlive it.
  Lloyd(const Points& points, const LloydOptions& options, std::vector<float> centroids);

  // The next rows of a pass; *passed: how many. With the last of a pass the centroids move.
  Status advance(const Call& call, Context& context, const Piece& piece, Passed* passed);
  // The centroids no longer move; labels and inertia are theirs.
  bool is_done() const { return done_; }
  int64_t clusters() const { return clusters_; }
  Centroids& centroids() { return *centroids_; }
  const std::vector<int32_t>& labels() const { return labels_; }
  double inertia() const;

 private:
  Status end_pass(const Call& call);
  int64_t empty_clusters() const;
  // Clusters above the most that a balanced one may weigh, whose rows lie in more than one place.
  bool is_heavy(int64_t cluster) const;
  bool has_heavy() const;
  // lloyd_repair.cpp
  // Rows by cluster, while some move between clusters.
  struct Members {
    std::vector<int64_t> begin, rows;
  };
  Members members() const;
  Status repair(const Call& call, int64_t* repaired);
  void rebalance(std::vector<float>* centroids) const;
  double share_of(int64_t cluster, int64_t row) const;
  int64_t draw(const Members& members, int64_t cluster) const;

  const Points& points_;
  const LloydOptions options_;
  const int64_t clusters_;
  std::vector<float> start_;
  std::unique_ptr<Centroids> centroids_;
  ClusterSums sums_;
  std::vector<int32_t> labels_;
  std::vector<float> ranks_;
  std::vector<double> costs_;  // of the clusters, weighted
  std::vector<Hit> hits_;
  std::vector<float> limits_;
  double total_ = 0;  // of the weights
  int64_t next_ = 0, changed_ = 0;
  int32_t moves_ = 0;
  bool labelled_ = false, done_ = false;
};

}  // namespace nearfield
