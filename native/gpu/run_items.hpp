// SPDX-License-Identifier: Apache-2.0
// The work of queries that meet runs of groups, cut into items (WorkItem) for `flat` and `levels`.
#pragma once

#include <functional>
#include <vector>

#include "scan.hpp"

namespace nearfield::gpu {

struct SlabItem {
  size_t slab;
  WorkItem item;
};

// Where the queries of a chunk stand in their runs.
class RunItems {
 public:
  // Queries [first, first + count) of the plan.
  RunItems(const Scan& scan, int64_t first, int64_t count);

  bool done() const { return left_ == 0; }  // nothing is left
  int64_t groups() const { return groups_; }
  // Groups of an item, so that the items fill a device that `workgroups` fill; `tile_loops`: as Scan::load()
  // has them.
  uint32_t item_groups(uint32_t workgroups, uint32_t tile_loops) const;
  // Items of one query that has the most of them.
  uint32_t most_items(uint32_t item_groups) const;
  // The next groups of each query, at most `groups` of them in at most `most` items: by slab and, within it,
  // by group, so that what several queries meet is read together. Returns the items of one query, at most.
  uint32_t next(int64_t groups, uint32_t item_groups, uint32_t most, std::vector<SlabItem>* items);

 private:
  struct Place {
    int64_t run, passed;  // groups of the run
  };
  // What is left of the run, but no more than a slab has, and than `most`.
  SlabItem cut(size_t query, int64_t most) const;
  bool has_more(size_t query) const;
  void pass(size_t query, int64_t groups);

  const Scan* scan_;
  int64_t first_;
  std::vector<Place> places_;  // of each query
  int64_t groups_ = 0, left_ = 0;
};

// Sends the items and calls `encode` for stretches of them in one slab, as many in a submission as its target
// duration allows; nothing is gathered before, or afterwards. `units`: of a row and a query.
Status dispatch_items(Scan* scan, const std::vector<SlabItem>& items, double units,
                      const std::function<Status(size_t slab, uint32_t begin, uint32_t count)>& encode);

// The best of the rows of items, by `flat`, merged into kBest and kLimits.
struct FlatItems {
  FlatShape shape;
  uint32_t parts = 1;     // lists of a query, at least one
  int64_t count = 0;      // queries that are loaded
  bool is_first = false;  // there is no best so far
};
Status dispatch_flat_items(Scan* scan, const FlatItems& flat, std::vector<SlabItem>* items);

// Where the plan has limits they are the first ones, else there are none.
std::vector<uint32_t> first_limits(const SearchPlan& plan, int64_t first, int64_t count);

// Searches of plans with runs, of a store that has rows, k <= Limits::most_list_k; hits by place.
Status row_runs_search(Scan* scan, Hit* hits);
bool run_codes_pay(const Scan& scan);  // of a store that is coded
Status coded_runs_search(Scan* scan, Hit* hits, int32_t* rescored, ScanCount* scanned);

}  // namespace nearfield::gpu
