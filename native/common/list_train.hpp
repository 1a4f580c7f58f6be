// SPDX-License-Identifier: Apache-2.0
// A training under way of an index with lists: a sample is clustered, and the lists are built from all rows.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "clustering.hpp"
#include "context.hpp"
#include "list_build.hpp"
#include "train.hpp"

namespace nearfield {

// Rows of a sample for each list (faiss: more do not change the centroids), and iterations.
inline constexpr int64_t kListSampleRows = 256;
inline constexpr int32_t kListIterations = 10;

// Puts row `i` of an index, as it is stored, among the points that are clustered into lists.
void set_point(int32_t metric, const float* row, double squared, int64_t i, Points* points);
// Room for so many of them.
Points points_for(int32_t metric, int64_t dim, int64_t count);
// How much of a clustering is done between two looks at the clock.
Piece clustering_piece(const Points& points);

class ListTraining {
 public:
  explicit ListTraining(const TrainRequest& request) : request_(request) {}

  const TrainRequest& request() const { return request_; }
  int64_t position() const { return build_ != nullptr ? build_->position() : 0; }
  uint64_t device_bytes() const { return build_ != nullptr ? build_->device_bytes() : 0; }
  bool is_done() const { return build_ != nullptr && build_->is_done(); }
  // Before the rest: a training of the codes' basis, in steps of its own.
  nf_step& basis_step() { return basis_step_; }
  // NULL before the lists are built.
  ListBuild* build() { return build_.get(); }
  // What was read or built is void: the rows of the index have other numbers.
  void renumber();
  // The next piece needs an empty store for the lists.
  bool wants_store() const { return coarse_ != nullptr && build_ == nullptr; }
  void give_store(std::unique_ptr<Store> store, const ListBuild::Source& from) {
    build_ = std::make_unique<ListBuild>(std::move(store), coarse_, from, false);
  }

  // One piece of the work, of a few milliseconds.
  Status advance(const Call& call, Context& context, const ListBuild::Source& from, const TrainRequest& now);

 private:
  enum class Phase { kChoose, kRead, kStart, kCluster, kBuild };
  Status choose(const Call& call, const ListBuild::Source& from);
  Status read(const Call& call, const ListBuild::Source& from, const TrainRequest& now);
  Status begin_clustering();
  Status cluster(const Call& call, Context& context, const ListBuild::Source& from);

  const TrainRequest request_;
  nf_step basis_step_{};
  Phase phase_ = Phase::kChoose;
  int64_t clusters_ = 0;
  std::vector<int64_t> numbers_;  // of the sample's rows, ascending
  int64_t read_ = 0;
  Points points_;
  std::unique_ptr<TwoLevels> levels_;
  std::unique_ptr<Clustering> clustering_;
  std::shared_ptr<CoarseQuantizer> coarse_;
  std::unique_ptr<ListBuild> build_;
};

}  // namespace nearfield
