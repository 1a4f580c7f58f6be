// SPDX-License-Identifier: Apache-2.0
// One flat search: every live row against a batch of queries.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "scan.hpp"

namespace nearfield::cpu {

// Products below which waking the pool (about 10 us) costs more than it saves.
inline constexpr int64_t kParallelProducts = int64_t{1} << 20;

// Workers draw blocks of rows and take each through all queries: rows come from memory once, however large
// the batch. A batch whose queues would pass the workspace limit is taken in parts.
class FlatSearch {
 public:
  FlatSearch(SharedState& shared, const CpuStore& store, const SearchPlan& plan, const Call& call,
             bool may_sample);
  Status run();
  // Bytes that the queues of the last run() may have grown to.
  uint64_t most_workspace() const { return most_workspace_; }
  // Queries of the last run() whose sample misled: their hits are not the answer, a search without a sample
  // is to follow.
  const std::vector<int64_t>& misled() const { return misled_; }
  ScanCount scanned() const {
    return {scanned_read_.load(std::memory_order_relaxed), scanned_whole_.load(std::memory_order_relaxed)};
  }
  // Of all rows.
  bool by_levels() const { return may_levels_ && plan_.cap == 0 && plan_.runs == nullptr; }

 private:
  // A query and some of its groups.
  struct Visit {
    GroupRun run;
    int32_t query;  // of the part
  };
  // Groups that some queries meet, and which.
  struct Piece {
    Block block;
    int64_t first_query, queries;  // of Meetings::queries
  };
  struct Meetings {
    std::vector<Piece> pieces;
    std::vector<int32_t> queries;  // of the part
  };

  Status part_size(int64_t* queries);
  void cut_into_blocks();
  Status prepare(int64_t first, int64_t queries);
  void copy_into_panels();
  // coded_flat.cpp
  void choose_codes();
  Status code_queries();
  // The answers of a capped part from the rows of least bound.
  Status collect_capped();
  Status answer_capped(int64_t query, std::vector<Hit>* bounds, WorkerSpace& space);
  // Calls `work` with shares of the part's queries, [from, to), on the workers.
  Status in_shares(const std::function<void(int64_t, int64_t)>& work);
  // With the hits of the sample in the queues: the limits of the rest.
  Status limit_by_sample();
  Status scan_blocks(Pass pass);
  Status scan(int32_t worker);
  // run_scan.cpp: the part's queries, each over its own groups.
  void cut_runs();
  void join(std::vector<Visit>* visits, Meetings* to) const;
  void add_pieces(const GroupRun& run, int64_t first_query, int64_t queries, std::vector<Piece>* to) const;
  Status scan_runs();
  Status scan_pieces(const Meetings& meetings, bool by_codes);
  Status collect();
  // What a worker has of a query of the part.
  const QueryState& found(int32_t worker, int64_t query) const {
    return state_.workspace.workers[static_cast<size_t>(worker)].states[static_cast<size_t>(query)];
  }

  SharedState& state_;
  const CpuStore& store_;
  const SearchPlan& plan_;
  const Call& call_;
  const int64_t chunks_;
  const MatrixBound bound_;
  Part part_;
  int32_t workers_ = 1;
  const bool may_sample_;
  bool may_product_ = false;  // the metric has one, and the workspace has room for it
  bool may_levels_ = false, may_coded_product_ = false, may_lists_ = false;
  std::vector<CodedBasisPtr> bases_;  // alive, with codes
  std::vector<Block> blocks_;
  // Of queries with runs: those that the first limits come from, and the others.
  static constexpr int kPhases = 2;
  Meetings meetings_[kPhases];
  std::vector<int64_t> misled_;
  uint64_t most_workspace_ = 0;
  std::atomic<int64_t> ticket_{0};
  std::atomic<uint64_t> scanned_read_{0}, scanned_whole_{0};
};

}  // namespace nearfield::cpu
