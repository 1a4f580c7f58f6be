// SPDX-License-Identifier: Apache-2.0
// A maintenance under way of an index with lists: those that have grown too large are split, those that have
// too few rows left go, and the lists are built anew beside the index from the rows that this concerns
// (docs/numerics.md).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "context.hpp"
#include "list_build.hpp"
#include "list_split.hpp"

namespace nearfield {

class ListMaintenance {
 public:
  int64_t position() const { return build_ != nullptr ? build_->position() : 0; }
  uint64_t device_bytes() const { return build_ != nullptr ? build_->device_bytes() : 0; }
  bool is_done() const { return build_ != nullptr ? build_->is_done() : phase_ == Phase::kRest; }
  // NULL before the lists are built, and where all stay as they are.
  ListBuild* build() { return build_.get(); }
  // The next piece needs an empty store for the lists.
  bool wants_store() const { return coarse_ != nullptr && build_ == nullptr; }
  void give_store(std::unique_ptr<Store> store, const ListBuild::Source& from);

  // One piece of the work, of a few milliseconds. Between two of them rows may change, but neither their
  // numbers nor the centroids.
  Status advance(const Call& call, Context& context, const ListBuild::Source& from);

  // Where the recall was measured anew, and not by a build; else NULL.
  const RecallModel* recall() const { return recall_.has_value() ? &*recall_ : nullptr; }
  int64_t split() const { return static_cast<int64_t>(split_.size()); }
  int64_t merged() const { return merged_; }

 private:
  enum class Phase { kCount, kSplit, kMerge, kMeasure, kPlan, kBuild, kRest };
  void count(const ListBuild::Source& from);
  void decide();
  Status split(const Call& call, Context& context, const ListBuild::Source& from);
  void next_split();
  Status merge(const Call& call, const ListBuild::Source& from);
  bool merge_into(int32_t list, std::span<const Hit> near);
  Status measure(const Call& call, const ListBuild::Source& from);
  Status plan(const Call& call, Context& context, const ListBuild::Source& from);
  bool goes(int32_t list) const { return goes_[static_cast<size_t>(list)]; }

  Phase phase_ = Phase::kCount;
  int64_t counted_ = 0;
  std::vector<int64_t> sizes_;  // live rows of each list
  double mean_ = 0;             // of them
  std::vector<int32_t> heavy_, starved_;
  size_t next_ = 0;  // of these
  std::unique_ptr<ListSplit> splitting_;
  std::vector<int32_t> split_;
  int64_t merged_ = 0;
  std::vector<bool> goes_;         // of the lists there are: is split or merged
  std::vector<float> children_;    // centroids of the new lists
  std::vector<int32_t> new_list_;  // of the lists there are
  std::shared_ptr<CoarseQuantizer> coarse_, changed_;
  std::unique_ptr<ListBuild> build_;
  std::unique_ptr<ListCalibration> calibration_;
  std::optional<RecallModel> recall_;
};

}  // namespace nearfield
