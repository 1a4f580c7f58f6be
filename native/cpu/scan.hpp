// SPDX-License-Identifier: Apache-2.0
// One worker's share of a flat search: blocks of rows against all queries of a part.
#pragma once

#include <cstdint>

#include "bounds.hpp"
#include "store.hpp"

namespace nearfield::cpu {

// Which groups of rows a scan visits (sample.hpp).
enum class Pass : uint8_t { kAll, kSample, kRest };

// What the workers of a part share; read only but for the limits.
struct Part {
  SharedState& state;
  const CpuStore& store;
  const SearchPlan& plan;
  const Call& call;
  const MatrixBound& bound;
  int64_t first = 0;  // of the batch
  int64_t queries = 0;
  bool product = false;  // by the product kernel, else by the direct one
  Pass pass = Pass::kAll;
  Panels panels = {};  // with `product`

  const float* query(int64_t i) const { return plan.queries + (first + i) * plan.query_stride; }
};

struct Block {
  const Slab* slab;
  int64_t first_group;  // within the slab
  int64_t groups;
};

class Scan {
 public:
  Scan(const Part& part, WorkerSpace& space);
  Status block(const Block& block);

 private:
  struct Group;

  void begin(int64_t first, int64_t last);
  void take_limit(int64_t query, float limit);
  Status poll(int64_t products);
  Status direct(const Group& group, int64_t first, int64_t last);
  // The rows each query may return; answers how many queries want any.
  int32_t wanted_rows(const Group& group, int64_t first, int64_t last, uint32_t* wanted) const;
  void direct_wanted(const Group& group, int64_t first, int64_t last, const uint32_t* wanted, bool only_call);
  void direct_call(const Group& group, const int32_t* queries, const uint32_t* wanted, int32_t count,
                   bool only_call);
  Status product(const Group& group, int64_t first_panel, int64_t last_panel);
  void keep_ranks(const Group& group, int64_t query, uint32_t wanted, uint32_t places, const float* ranks);
  void rescore(const Group& group, int64_t query, uint32_t rows);
  void rescore_pairs();
  void push(int64_t query, const Hit& hit) { space_.states[static_cast<size_t>(query)].queue.push(hit); }
  void share_limit(int64_t query);

  const Part& part_;
  WorkerSpace& space_;
  const Kernels& kernels_;
  const int32_t metric_;
  const int64_t chunks_;
  const bool prefetch_;
  int64_t unpolled_ = 0;
  int32_t direct_groups_ = 0;  // groups to come that skip the product

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
