// SPDX-License-Identifier: Apache-2.0
// One flat search: every live row against a batch of queries.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "bounds.hpp"
#include "store.hpp"

namespace nearfield::cpu {

// Workers draw blocks of rows small enough for their L2, and take each block through all queries: rows come
// from memory once, however large the batch. A batch whose queues would pass the workspace limit is taken in
// parts.
class FlatSearch {
 public:
  FlatSearch(SharedState& shared, const CpuStore& store, const SearchPlan& plan, const Call& call);
  Status run();
  // Bytes that the queues of the last run() may have grown to.
  uint64_t most_workspace() const { return most_workspace_; }

 private:
  struct Block {
    const Slab* slab;
    int64_t first_group;  // within the slab
    int64_t groups;
  };
  // One kernel call under way: a group, and the queries that want it.
  struct Visit;

  Status part_size(int64_t* queries);
  void cut_into_blocks();
  void prepare(int64_t first_query, int64_t queries);
  Status scan(int32_t worker);
  Status scan_block(const Block& block, std::vector<QueryState>& states, int64_t* unpolled);
  void visit(const Slab& slab, int64_t group, int64_t first, int64_t count, std::vector<QueryState>& states);
  void scan_matrix(Visit& visit, std::vector<QueryState>& states);
  void scan_direct(Visit& visit, std::vector<QueryState>& states);
  void rescore(const Visit& visit, int64_t query, uint32_t rows, std::vector<QueryState>& states);
  void share_limit(int64_t query, QueryState& state);
  Status collect(int64_t first_query, int64_t queries);

  const float* query(int64_t i) const { return plan_.queries + (part_first_ + i) * plan_.query_stride; }

  SharedState& state_;
  const CpuStore& store_;
  const SearchPlan& plan_;
  const Call& call_;
  const int32_t metric_;
  const int64_t chunks_;
  const MatrixBound bound_;
  bool matrix_ = false;
  int32_t workers_ = 1;
  std::vector<Block> blocks_;
  std::vector<double> query_squared_;  // of the part, with the matrix form
  int64_t part_first_ = 0;
  int64_t part_queries_ = 0;
  int64_t tile_queries_ = 0;
  uint64_t most_workspace_ = 0;
  std::atomic<int64_t> ticket_{0};
};

}  // namespace nearfield::cpu
