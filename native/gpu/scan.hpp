// SPDX-License-Identifier: Apache-2.0
// What both searches share: the chunk of queries that is on the device, and the walk over the slabs in
// dispatches of about the target duration.
#pragma once

#include <bit>
#include <map>
#include <span>
#include <vector>

#include "store.hpp"

namespace nearfield::gpu {

class Scan {
 public:
  Scan(GpuStore& store, const SearchPlan& plan, const Call& call) : store_(store), plan_(plan), call_(call) {}

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
  // Sends the queries, their masks and what decoding needs; the workspace is reserved. `workgroups` fill the
  // device; `tile_loops`: loop iterations that the kernel may spend on a tile beside the chunks of its rows.
  Status load(int64_t first, int64_t count, uint32_t query_block, uint32_t workgroups, uint32_t tile_loops);
  // Encodes the move of the first `queries` of them, padding included, to kTileQueries; nothing was gathered
  // before.
  Status tile_queries(int64_t queries) const;

  // From here on in blocks of so many queries; the queries were padded to a multiple of it.
  void take_blocks_of(uint32_t query_block, uint32_t workgroups) {
    query_block_ = query_block;
    workgroups_ = workgroups;
  }
  void rewind() { slab_ = 0, group_ = 0; }
  // Where the scan stands, to go on from there again.
  struct Mark {
    size_t slab;
    uint32_t group;
  };
  Mark mark() const { return {slab_, group_}; }
  void go_back(Mark mark) { slab_ = mark.slab, group_ = mark.group; }
  bool done() const { return slab_ >= slab_count() || groups_in(slab_) == 0; }
  enum class Reads : uint8_t { kRows, kCodes };
  // The next ranges, for one submission: at least one, at most `max_parts` parts and `max_groups` groups
  // altogether. Returns their work in units, that of decoding rows included; 0: not to be measured.
  double next(uint32_t max_parts, int64_t max_groups, std::vector<Range>* ranges, Reads reads = Reads::kRows);
  // Ranges of all slabs for a sample of about `rows` rows, spread evenly: of each part the first
  // `part_groups` groups. Returns how many rows that is; 0: it takes more than `max_parts` parts, or
  // more than one submission.
  int64_t sample(uint32_t max_parts, int64_t rows, std::vector<Range>* ranges, uint32_t* part_groups) const;
  // The rows of a range as kernels find them: in their slab, or decoded into the workspace by a dispatch that
  // is encoded here and stands until the next one.
  struct Rows {
    const Buffer *vectors, *side, *live;
    uint32_t first_row, group_begin, group_end;  // `first_row`: of group 0
  };
  Status rows_of(const Range& range, Rows* out) const;
  // The fields of the parameters that follow from the chunk and the range.
  ScanParams params(const Range& range, const Rows& rows) const;
  Grid grid(const Range& range) const;
  // Groups that one workgroup goes through within its loops; `tile_loops`: as load() has them.
  uint32_t most_part_groups(uint32_t tile_loops) const;

  Context& context() const { return *store_.context_; }
  const SlabBuffers& slab(const Range& range) const { return store_.slabs_.all()[range.slab]; }
  bool has_masks() const { return has_masks_; }
  const Buffer& masks() const { return has_masks_ ? context().work(kMasks) : context().work(kUnused); }
  const SearchPlan& plan() const { return plan_; }
  const Call& call() const { return call_; }
  int32_t metric() const { return store_.options_.metric; }
  int32_t dim() const { return store_.options_.dim; }
  int64_t rows() const { return store_.rows_; }
  GpuStore& store() const { return store_; }
  uint32_t chunks() const { return store_.chunks(); }
  uint32_t first_row_of(size_t slab) const {
    return static_cast<uint32_t>(store_.slabs_.map().slabs()[slab].first);
  }
  uint32_t first_row(const Range& range) const { return first_row_of(range.slab); }
  uint32_t slab_groups_of(size_t slab) const {
    return static_cast<uint32_t>(store_.slabs_.map().slabs()[slab].capacity / kGroupRows);
  }
  uint32_t slab_groups(const Range& range) const { return slab_groups_of(range.slab); }
  const std::vector<SlabBuffers>& slabs() const { return store_.slabs_.all(); }
  // Groups of a slab that hold rows.
  uint32_t groups_in(size_t slab) const;
  size_t slab_of(int64_t row) const { return static_cast<size_t>(store_.slabs_.place(row).slab); }
  bool has_rows() const { return store_.has_rows(); }
  bool has_side() const { return store_.has_side(); }
  bool has_residuals() const { return store_.has_residuals(); }
  int64_t decoding_axes() const { return store_.decoding_axes(); }
  bool is_coded() const { return store_.basis_ != nullptr; }
  // Live rows that query q may return.
  int64_t candidates(int64_t query);
  const uint32_t* mask(int64_t query) const {
    return plan_.mask_of_query != nullptr ? plan_.mask_of_query[query] : nullptr;
  }
  uint64_t row_bytes() const { return store_.row_bytes(); }

 private:
  bool decodes(Reads reads) const { return !store_.has_rows() && reads == Reads::kRows; }
  size_t slab_count() const { return store_.slabs_.all().size(); }
  uint32_t tile_groups() const { return context().limits().tile_rows / 32; }
  uint32_t query_blocks() const { return static_cast<uint32_t>((count_ + query_block_ - 1) / query_block_); }

  GpuStore& store_;
  const SearchPlan& plan_;
  const Call& call_;
  std::map<const uint32_t*, int64_t> candidates_of_;  // by mask
  size_t slab_ = 0;
  uint32_t group_ = 0;
  int64_t count_ = 0;  // queries of the chunk
  uint32_t query_block_ = 1, workgroups_ = 1, most_part_groups_ = 1;
  bool has_masks_ = false;
};

inline constexpr uint32_t kEmpty = NEARFIELD_EMPTY;

// A rank from its order-preserving key.
inline float rank_of_key(uint32_t key) {
  return std::bit_cast<float>((key & 0x80000000u) != 0 ? key ^ 0x80000000u : ~key);
}

inline uint32_t key_of_rank(float rank) {  // of none that is -0
  const auto bits = std::bit_cast<uint32_t>(rank);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

inline void put_hits(std::span<const Entry> entries, Hit* hits) {
  for (size_t i = 0; i < entries.size(); ++i)
    if (entries[i].key != kEmpty) hits[i] = {entries[i].row, rank_of_key(entries[i].key), 0};
}

// The k best of each query of the plan to hits[query * k ...], best first; entries that are missing stay as
// they are. The caller drains the queue.
Status direct_search(Scan* scan, Hit* hits);  // k <= Limits::most_list_k
// Lists of a query that its merge follows within its loops, and loops of a tile of `flat` beside the chunks
// of its rows.
uint32_t most_parts(const Scan& scan, const FlatShape& shape);
uint32_t flat_tile_loops(const FlatShape& shape, uint32_t lanes);
// One pass of the direct form over some ranges.
struct FlatPass {
  uint32_t part_groups = 0;  // of each part, the first groups that are scanned; 0: all
  bool is_first = false;     // there is no best so far
  bool is_whole = false;     // the ranges are all rows
};
// Dispatches `flat` for the `count` queries that are loaded, and the merge of its lists into kBest and
// kLimits.
Status dispatch_flat(Scan* scan, const FlatShape& shape, int64_t count,
                     const std::vector<Scan::Range>& ranges, const FlatPass& pass);
// Tightens the limits of the `count` queries that are loaded by a sample of `seen` rows, about `wanted` (0:
// none was worth it), with at most `max_parts` lists, for which kParts has room.
Status seed_limits(Scan* scan, const FlatShape& shape, int64_t count, int64_t wanted, uint32_t max_parts,
                   int64_t* seen);
int64_t sample_rows(const Scan& scan);  // of a scan of the rows themselves
// Lists of a sample, and bytes that they take, at most.
inline constexpr uint32_t kSampleParts = 128;
inline constexpr uint64_t kSampleBytes = 64ull << 20;
uint32_t sample_parts(uint64_t count, int32_t k);
Status radix_search(Scan* scan, Hit* hits);  // any k
// k <= Limits::most_list_k; rescored: per query. The workspace may be too small for a tile of queries: the
// direct form needs less.
bool matrix_fits(const Scan& scan, const MatrixShape& shape);
Status matrix_search(Scan* scan, const MatrixShape& shape, Hit* hits, int32_t* rescored);
// By products of TF32, where the device and the store have any; query_tile 0: not so.
inline constexpr int64_t kLeastTf32Batch = 17;  // more than a pass of the direct form has
CodedProductShape tf32_shape(const Scan& scan);
Status tf32_search(Scan* scan, const CodedProductShape& shape, Hit* hits, int32_t* rescored);
// Of a coded store: whether a scan of its codes is taken for this plan, and that scan.
bool codes_pay(const Scan& scan);
Status coded_search(Scan* scan, Hit* hits, int32_t* rescored, ScanCount* scanned);
// With SearchPlan::cap, any k.
Status capped_search(Scan* scan, Hit* hits, int32_t* rescored, uint8_t* certified, ScanCount* scanned);
// By the rows themselves.
Status rows_search(Scan* scan, Hit* hits);
// Queries whose codes might overflow: searched by the rows.
bool too_long(const Scan& scan, int64_t query);
// They count as having left out nothing.
void count_too_long(const Scan& scan, int64_t queries, ScanCount* scanned);
// Loop iterations of sorting one list.
uint32_t sort_loops(const FlatShape& shape, uint32_t lanes);

}  // namespace nearfield::gpu
