// SPDX-License-Identifier: Apache-2.0
// The rows of one list, clustered: the centroids of the lists that take its place.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "clustering.hpp"
#include "context.hpp"
#include "list_build.hpp"

namespace nearfield {

class ListSplit {
 public:
  // Into at most `most` lists, each with about `least` live rows or more.
  ListSplit(int32_t list, int64_t most, int64_t least) : list_(list), most_(most), least_(least) {}

  int32_t list() const { return list_; }
  // One piece of the work, of a few milliseconds.
  Status advance(const Call& call, Context& context, const ListBuild::Source& from);
  bool is_done() const { return phase_ == Phase::kDone; }
  // Of two lists or more; empty where the rows do not come apart.
  const std::vector<float>& centroids() const { return centroids_; }

 private:
  enum class Phase { kChoose, kRead, kCluster, kDone };
  void choose(const ListBuild::Source& from);
  Status read(const Call& call, const ListBuild::Source& from);
  void take_centroids();

  const int32_t list_;
  const int64_t most_, least_;
  Phase phase_ = Phase::kChoose;
  int64_t live_ = 0;
  std::vector<int64_t> sample_;  // places
  int64_t read_ = 0;
  Points points_;
  std::unique_ptr<Clustering> clustering_;
  std::vector<float> centroids_;
};

}  // namespace nearfield
