// SPDX-License-Identifier: Apache-2.0
// One worker's share of a flat search: blocks of rows against all queries of a part.
#pragma once

#include <cstdint>
#include <span>

#include "bounds.hpp"
#include "coded_queries.hpp"
#include "store.hpp"

namespace nearfield::cpu {

// Which groups of rows a scan visits (sample.hpp). kMore: all of those it is given, beside those of a scan
// before.
enum class Pass : uint8_t { kAll, kSample, kRest, kMore };

// What the workers of a part share; read only but for the limits.
struct Part {
  SharedState& state;
  const CpuStore& store;
  const SearchPlan& plan;
  const Call& call;
  const MatrixBound& bound;
  int64_t first = 0;  // of the batch
  int64_t queries = 0;
  bool product = false;        // by the product kernel, else by the direct one
  bool levels = false;         // by codes, level by level
  bool coded_product = false;  // by the product of codes; where they exclude too little, by one of the others
  bool lists = false;          // queries that share runs of groups, by codes of one term
  Pass pass = Pass::kAll;
  Panels panels = {};  // with a product
  int32_t workers = 1;

  // Only `plan.cap` rows a query are rescored, at the end.
  bool capped() const { return levels && plan.cap != 0; }
  const float* query(int64_t i) const { return plan.queries + (first + i) * plan.query_stride; }
};

// What looking up a query's mask for a group counts as.
inline constexpr int64_t kMaskProducts = 8;

// Survivors of one group of 32 rows: up to this many are rescored in pairs, more by the direct kernel, which
// takes all 32 in the time of 16 pairs.
inline constexpr int kScatteredRescore = 16;
// Survivors of a run of 512 rows from which on codes cost more than they save; then so many runs go without.
inline constexpr int32_t kHopelessRows = 96;
inline constexpr int32_t kPausedRuns = 15;

struct Block {
  const Slab* slab;
  int64_t first_group;  // within the slab
  int64_t groups;
};

// A group's codes as the product reads them, level after level: CodedProductTile::codes.
void pack_codes(const Slab& slab, int64_t group, int32_t packed_dims, uint8_t* to);

class Scan {
 public:
  Scan(const Part& part, WorkerSpace& space);
  // With levels: limits from a sample, before the first block. Worker `worker` of the part's.
  Status sample_limits(int32_t worker);
  Status block(const Block& block);
  // run_scan.cpp: groups that some queries meet. `by_codes`: level by level.
  // `next`: NULL, or what comes then, for so many queries.
  Status run(const Block& block, std::span<const int32_t> queries, bool by_codes, const Block* next,
             int64_t next_queries);
  // list_scan.cpp: after the last run.
  Status end_runs();
  const ScanCount& scanned() const { return scanned_; }

 private:
  struct Group {
    const float* rows;  // NULL: codes alone
    const float* side;
    int64_t floats;
    int64_t first_row;
    int64_t word;  // of the masks
    uint32_t live;
    const Slab* slab;
    int64_t place;  // in the slab

    const char* next() const {
      return rows == nullptr ? nullptr : reinterpret_cast<const char*>(rows + floats);
    }
    int64_t bytes() const { return floats * 4; }
  };
  Group group_of(const Slab& slab, int64_t group) const;
  // The group's first float, where the `wanted` rows are; of codes alone they are decoded, and stay until
  // another group's are.
  const float* rows_of(const Group& group, uint32_t wanted);
  // Index of the part's queries in the basis of a slab.
  size_t basis_of(const Slab& slab) const;

  void begin(int64_t first, int64_t last);
  void take_limit(int64_t query, float limit);
  Status poll(int64_t products);
  Status direct(const Group& group, int64_t first, int64_t last);
  Status direct(const Group& group, std::span<const int32_t> queries);
  // The rows each query may return; answers how many queries want any.
  int32_t wanted_rows(const Group& group, int64_t first, int64_t last, uint32_t* wanted) const;
  void direct_wanted(const Group& group, int64_t first, int64_t last, const uint32_t* wanted, bool only_call);
  void direct_call(const Group& group, const int32_t* queries, const uint32_t* wanted, int32_t count,
                   bool only_call);
  Status product(const Group& group, int64_t first_panel, int64_t last_panel);
  // level_scan.cpp
  Status levels(const Block& block);
  Status levels_of_query(const Slab& slab, int64_t first_group, int64_t groups, int64_t query);
  void keep_bounds(const Slab& slab, int64_t first_group, const LevelTile& tile, int64_t query);
  // list_scan.cpp
  void begin_lists();
  Status coded_runs(const Block& block, std::span<const int32_t> queries, const Block* next,
                    int64_t next_queries);
  Status coded_run(const Slab& slab, int64_t first_group, int64_t groups, std::span<const int32_t> queries,
                   RunTile& tile);
  // The levels that the next panel reads together, after one of so many.
  void choose_levels(int64_t visits, int64_t longer);
  // The test of a query under its present limit.
  void test_again(int64_t query);
  void keep_candidates(const Group& group, int64_t query, uint32_t rows, const int32_t* dots);
  // ProductTest, under the present limit.
  double excess(int64_t query, const Candidate& candidate) const;
  // The candidates of a query, most promising first; then those that its limit lets through, which falls on
  // the way.
  void sort_candidates(int64_t query);
  void prefetch(const Candidate& candidate) const;
  void rescore_candidates(int64_t query);
  // coded_scan.cpp
  void begin_coded();
  void take_coded_limit(int64_t query, float limit);
  Status coded_product(const Slab& slab, const Group& group, int64_t first_panel, int64_t last_panel);
  // What a product has kept of the queries from `first` on: rows few in a group are rescored one by one, else
  // with all of it. Answers how many queries kept too many.
  int64_t rescore_kept(const Group& group, int64_t first, int64_t last, const uint32_t* rows,
                       const uint32_t* wanted);
  void keep_ranks(const Group& group, int64_t query, uint32_t wanted, uint32_t places, const float* ranks);
  void rescore(const Group& group, int64_t query, uint32_t rows);
  void rescore_pairs();
  void push(int64_t query, Hit hit) {
    if (part_.plan.number_of_place != nullptr) hit.row = part_.plan.number_of_place[hit.row];
    space_.states[static_cast<size_t>(query)].queue.push(hit);
  }
  void share_limit(int64_t query);

  const Part& part_;
  WorkerSpace& space_;
  const Kernels& kernels_;
  const int32_t metric_;
  const int64_t chunks_;
  const bool prefetch_;
  const std::vector<CodedQueries>& coded_;  // one for each basis alive
  ScanCount scanned_;
  int32_t uncoded_groups_ = 0;  // groups to come that skip the product of codes
  int64_t unpolled_ = 0;
  int32_t direct_groups_ = 0;   // groups to come that skip the product
  int32_t next_direct_ = 1;     // and how many, when it next excludes too little
  int64_t decoded_group_ = -1;  // its first row
  uint32_t decoded_rows_ = 0;

  // Rows that the product could not leave out.
  static constexpr int64_t kPairs = 64;  // enough for the kernel's bundles of 8, 2 KiB
  struct {
    const float *queries[kPairs], *rows[kPairs];
    float side[kPairs];
    int64_t query[kPairs], row[kPairs];
    int64_t count = 0;
  } pairs_;
};

}  // namespace nearfield::cpu
