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
#include "live_bits.hpp"
#include "train.hpp"

namespace nearfield {

// Checks vectors as `add` does, and leaves what a store keeps beside each. `coded_alone`: rows that are kept
// as codes alone.
Status derive_sides(const Call& call, const VectorRules& rules, const MatrixView& data, const char* noun,
                    int64_t first, float* side, bool coded_alone = false);

class Index {
 public:
  static Status create(const Call& call, Context& context, const StoreOptions& options,
                       const VectorRules& rules, std::unique_ptr<Index>* out);

  const StoreOptions& options() const { return options_; }
  const VectorRules& rules() const { return rules_; }
  int32_t dim() const { return options_.dim; }
  int32_t metric() const { return options_.metric; }
  int64_t rows() const { return live_.rows(); }
  const LiveBits& live() const { return live_; }
  Store& store() { return *store_; }
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

 private:
  Index(StoreOptions options, VectorRules rules) : options_(options), rules_(rules) {}
  Status begin_compaction(const Call& call, Context& context);

  StoreOptions options_;
  VectorRules rules_;
  std::unique_ptr<Store> store_;
  LiveBits live_;
  std::unique_ptr<Compaction> compaction_;
  std::unique_ptr<Training> training_;
  std::unique_ptr<Fit> given_up_;  // of a training that failed; its thread may still be at work
  Loosening loosening_;
  bool trained_ = false;
  ScanCount scanned_;
  int64_t searched_ = 0, certified_ = 0;
};

// Phases in the first progress word.
enum : int64_t { kPhaseCheck = 1, kPhaseCopy = 2, kPhaseCompact = 3, kPhaseTrain = 4 };

}  // namespace nearfield

// The ABI's opaque handle.
struct nf_index {
  std::shared_ptr<nearfield::Context> context;
  std::unique_ptr<nearfield::Index> index;
};
