// SPDX-License-Identifier: Apache-2.0
// What both searches share: the chunk of queries that is on the device, and the walk over the slabs in
// dispatches of about the target duration.
#pragma once

#include <map>
#include <vector>

#include "store.hpp"

namespace nearfield::wgpu {

class Scan {
 public:
  Scan(WgpuStore& store, const SearchPlan& plan, const Call& call)
      : store_(store), plan_(plan), call_(call) {}

  // Groups of one slab, scanned by `parts` workgroups per query block.
  struct Range {
    size_t slab;
    uint32_t group_begin, group_end, groups_per_part, parts;
  };

  // Adds what queries [first, first + count) and their masks take.
  void add_sizes(int64_t first, int64_t count, uint32_t query_block, WorkSizes* sizes) const;
  // Whether every buffer fits a binding and all of them the workspace.
  bool fits(const WorkSizes& sizes) const;
  // Queries that one tile of rows may meet within a dispatch's target duration.
  int64_t queries_per_dispatch() const;
  // Sends the queries and their masks; the workspace is reserved. `tile_loops`: loop iterations that the
  // kernel may spend on a tile beside the chunks of its rows.
  void load(int64_t first, int64_t count, uint32_t query_block, uint32_t tile_loops);

  void rewind() { slab_ = 0, group_ = 0; }
  bool done() const { return slab_ >= slab_count() || groups_in(slab_) == 0; }
  // The next ranges, for one submission: at least one, at most `max_parts` parts and `max_groups` groups
  // altogether. Returns their work in units.
  double next(uint32_t max_parts, int64_t max_groups, std::vector<Range>* ranges);
  // The fields of the parameters that follow from the chunk and the range.
  ScanParams params(const Range& range, Grid* grid) const;

  Context& context() const { return *store_.context_; }
  const SlabBuffers& slab(const Range& range) const { return store_.slabs_[range.slab]; }
  const Buffer& side(const Range& range) const {
    return has_side(store_.options_.metric) ? slab(range).side : context().work(kUnused);
  }
  const Buffer& masks() const { return has_masks_ ? context().work(kMasks) : context().work(kUnused); }
  const SearchPlan& plan() const { return plan_; }
  const Call& call() const { return call_; }
  int32_t metric() const { return store_.options_.metric; }
  // Live rows that query q may return.
  int64_t candidates(int64_t query);
  uint64_t row_bytes() const { return store_.row_bytes(); }

 private:
  size_t slab_count() const { return store_.slabs_.size(); }
  uint32_t groups_in(size_t slab) const;  // that hold rows
  const uint32_t* mask(int64_t query) const {
    return plan_.mask_of_query != nullptr ? plan_.mask_of_query[query] : nullptr;
  }

  WgpuStore& store_;
  const SearchPlan& plan_;
  const Call& call_;
  std::map<const uint32_t*, int64_t> candidates_of_;  // by mask
  size_t slab_ = 0;
  uint32_t group_ = 0;
  int64_t count_ = 0;  // queries of the chunk
  uint32_t query_block_ = 1, most_part_groups_ = kTileGroups;
  bool has_masks_ = false;
};

}  // namespace nearfield::wgpu
