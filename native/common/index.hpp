// SPDX-License-Identifier: Apache-2.0
// A mutable flat index: a backend's store, the host mirror of its live bits, and a compaction under way.
// Every method is called in the turn of its context.
#pragma once

#include <cstdint>
#include <memory>

#include "backend.hpp"
#include "checks.hpp"
#include "compaction.hpp"
#include "context.hpp"
#include "filter.hpp"
#include "list_build.hpp"
#include "list_maintain.hpp"
#include "list_train.hpp"
#include "live_bits.hpp"
#include "train.hpp"

namespace nearfield {

// Checks vectors as `add` does, and leaves what a store keeps beside each. `coded_alone`: rows that are kept
// as codes alone.
Status derive_sides(const Call& call, const VectorRules& rules, const MatrixView& data, const char* noun,
                    int64_t first, float* side, bool coded_alone = false);

// Of an index with lists (NF_IVF).
struct ListOptions {
  bool has_lists = false;
  int32_t lists = 0;   // that a training makes; 0: from the rows
  int32_t probes = 0;  // of a search that says nothing; 0: the library's default
};

class Index {
 public:
  static Status create(const Call& call, Context& context, const StoreOptions& options,
                       const VectorRules& rules, const ListOptions& lists, std::unique_ptr<Index>* out);

  const StoreOptions& options() const { return options_; }
  const VectorRules& rules() const { return rules_; }
  int32_t dim() const { return options_.dim; }
  int32_t metric() const { return options_.metric; }
  int64_t rows() const { return live_.rows(); }
  const LiveBits& live() const { return live_; }
  Store& store() { return *store_; }
  const ListOptions& list_options() const { return list_options_; }
  // NULL: a flat index, or one that is not trained. Then a row's number is its place in the store.
  const ListedRows* listed() const { return listed_.get(); }
  // In the place of row numbers where the rows lie in lists.
  void to_places(std::vector<int64_t>* rows) const;
  std::span<const int64_t> places(std::span<const int64_t> rows, std::vector<int64_t>* scratch) const;
  // Hits of a search are named by numbers.
  void name_places(SearchPlan* plan) const {
    if (listed_ == nullptr) return;
    plan->number_of_place = listed_->lists.number_of_place();
    plan->place_of_number = listed_->lists.place_of_number();
  }
  // Words of a mask of places.
  int64_t mask_words() const;
  // With lists: a mask of places, those of a run of groups, from one of numbers.
  void fill_mask(const uint32_t* numbers, const GroupRun& run, uint32_t* words) const;
  nf_index_info info(const Context& context) const;
  // Of a search, for info().
  void count_answers(int64_t answers, int64_t certified, const ScanCount& scanned) {
    searched_ += answers;
    certified_ += certified;
    scanned_.read += scanned.read;
    scanned_.whole += scanned.whole;
  }

  // `noun` and `first` name a bad vector: "add: row 3, dimension 17 is NaN".
  Status add(const Call& call, const MatrixView& data, bool live, const char* noun, int64_t first);
  // The same of at least one row that has been checked, with what derive_sides() has left of each.
  Status append(const Call& call, const HostRows& from);
  Status replace(const Call& call, const int64_t* rows, const MatrixView& data);
  Status read(const Call& call, const int64_t* rows, const MatrixView& out);
  Status set_live(const Call& call, const int64_t* rows, int64_t count, bool live);
  Status set_live_range(const Call& call, int64_t first, int64_t count, bool live);
  // One step as nf_compact describes it.
  Status compact(const Call& call, Context& context, nf_compact* request, nf_step* step);
  // One step of a training of coded rows.
  Status train(const Call& call, const TrainRequest& request, nf_step* step);
  // list_index.cpp: of lists.
  Status train_lists(const Call& call, Context& context, const TrainRequest& request, nf_step* step);
  // Gives back what a training of lists holds that nobody wants any more.
  void end_list_training() { list_training_.reset(); }
  // One step of a maintenance of lists.
  Status maintain(const Call& call, Context& context, nf_maintain* request, nf_step* step);
  void end_maintenance() { list_maintenance_.reset(); }
  // nf_lists: all of it, as snapshots have it; and lists made from that.
  Status read_lists(const Call& call, const MatrixView& centroids, const nf_lists& to) const;
  Status write_lists(const Call& call, Context& context, const MatrixView& centroids, const nf_lists& from);
  Status compact_lists(const Call& call, Context& context, nf_compact* request, nf_step* step);

 private:
  Index(StoreOptions options, VectorRules rules, ListOptions lists)
      : options_(options), rules_(rules), list_options_(lists) {}
  Status begin_compaction(const Call& call, Context& context);
  // Calls `follow` with each lists that are being built; one that answers false cannot follow and begins
  // anew.
  template <typename Follow>
  void for_each_build(const Follow& follow);
  Status append_listed(const Call& call, const HostRows& from);
  Status replace_listed(const Call& call, std::span<const int64_t> rows, const HostRows& from);
  void take_lists(ListBuild* build);
  Status new_store(const Call& call, Context& context, int64_t capacity, const char* what,
                   std::unique_ptr<Store>* out);
  ListBuild::Source build_source() { return {*store_, live_, rules_, listed_.get(), dim()}; }

  StoreOptions options_;
  VectorRules rules_;
  ListOptions list_options_;
  std::unique_ptr<Store> store_;
  LiveBits live_;
  std::unique_ptr<ListedRows> listed_;
  std::unique_ptr<ListTraining> list_training_;
  std::unique_ptr<ListBuild> list_compaction_;
  std::unique_ptr<ListMaintenance> list_maintenance_;
  int64_t list_cursor_ = 0;  // of a compaction of lists: rows passed
  std::unique_ptr<Compaction> compaction_;
  std::unique_ptr<Training> training_;
  std::unique_ptr<Fit> given_up_;  // of a training that failed; its thread may still be at work
  Loosening loosening_;
  bool trained_ = false;
  ScanCount scanned_;
  int64_t searched_ = 0, certified_ = 0;
};

// Phases in the first progress word.
enum : int64_t { kPhaseCheck = 1, kPhaseCopy = 2, kPhaseCompact = 3, kPhaseTrain = 4, kPhaseMaintain = 5 };

}  // namespace nearfield

// The ABI's opaque handle.
struct nf_index {
  std::shared_ptr<nearfield::Context> context;
  std::unique_ptr<nearfield::Index> index;
};
