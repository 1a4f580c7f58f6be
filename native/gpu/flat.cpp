// SPDX-License-Identifier: Apache-2.0
// Exact search: the direct form with the selection fused into the scan. matrix.cpp has the matrix form,
// coded.cpp that by int8 codes, select.cpp large k.
#include <algorithm>
#include <bit>

#include "scan.hpp"

namespace nearfield::gpu {

namespace {

// A scan of a few queries with a short list waits for memory: sorting its lists now and then is hidden behind
// it, and two dispatches more would not be.
constexpr int64_t kLeastSeededBatch = 4;
constexpr uint32_t kLeastSeededK = 33;
constexpr uint64_t kPartsBytes = 64ull << 20;

WorkSizes sizes_for(const Scan& scan, int64_t first, int64_t count, uint32_t query_block, uint32_t parts) {
  WorkSizes sizes{};
  scan.add_sizes(first, count, query_block, &sizes);
  const uint64_t best = static_cast<uint64_t>(count) * static_cast<uint64_t>(scan.plan().k) * sizeof(Entry);
  sizes[kBest] = sizes[kReadback] = best;
  sizes[kParts] = best * parts;
  sizes[kLimits] = static_cast<uint64_t>(count) * sizeof(uint32_t);
  return sizes;
}

Status search_chunk(Scan* scan, int64_t first, int64_t count, const FlatShape& shape, uint32_t max_parts,
                    std::vector<Entry>* entries) {
  Context& context = scan->context();
  Queue& queue = context.queue();
  const auto k = static_cast<uint32_t>(scan->plan().k);
  NF_TRY(scan->load(first, count, shape.query_block, shape.workgroups,
                    flat_tile_loops(shape, context.limits().lanes)));
  const std::vector<uint32_t> no_limits(static_cast<size_t>(count), kEmpty);
  queue.write(context.work(kLimits), 0, no_limits.data(), no_limits.size() * sizeof(uint32_t));
  const Buffer& best = context.work(kBest);
  const uint64_t bytes = static_cast<uint64_t>(count) * k * sizeof(Entry);
  if (count >= kLeastSeededBatch || k >= kLeastSeededK) {
    int64_t seen = 0;
    NF_TRY(seed_limits(scan, shape, count, sample_rows(*scan), max_parts, &seen));
  }
  std::vector<Scan::Range> ranges;
  for (bool is_first = true; !scan->done(); is_first = false) {
    NF_TRY(scan->call().poll());
    const double units = scan->next(max_parts, kMaxRows, &ranges);
    NF_TRY(dispatch_flat(scan, shape, count, ranges,
                         {.is_first = is_first, .is_whole = is_first && scan->done()}));
    if (scan->done()) queue.copy(best, 0, context.work(kReadback), 0, bytes);
    NF_TRY(queue.submit(units, "search"));
  }
  entries->resize(static_cast<size_t>(count) * k);
  return queue.read(context.work(kReadback), bytes, entries->data(), "search");
}

}  // namespace

// Loop iterations of sorting one list, the last of each loop, which only leaves it, included. A sort of n
// entries by L lanes takes log2(n) (log2(n) + 1) / 2 steps of n / 2L pairs a lane.
uint32_t sort_loops(const FlatShape& shape, uint32_t lanes) {
  const auto levels = static_cast<uint32_t>(std::bit_width(shape.list_capacity) - 1);
  const uint32_t steps = levels * (levels + 1) / 2;
  const uint32_t pairs = std::max(1u, shape.list_capacity / 2 / lanes);
  return levels + 1 + steps + levels + steps * (pairs + 1) + shape.list_capacity / lanes;
}

// At worst every list is sorted at every tile.
uint32_t flat_tile_loops(const FlatShape& shape, uint32_t lanes) {
  return shape.query_block * (sort_loops(shape, lanes) + 16) + 16;
}

// A merge reads tile_rows entries a step and sorts at most once a step.
uint32_t most_parts(const Scan& scan, const FlatShape& shape) {
  const Limits& limits = scan.context().limits();
  const auto k = static_cast<uint32_t>(scan.plan().k);
  const uint64_t steps = limits.loops / (sort_loops(shape, limits.lanes) + 16) - k / limits.lanes - 1;
  return static_cast<uint32_t>(std::min<uint64_t>(limits.most_lists, steps * limits.tile_rows / k));
}

Status dispatch_flat(Scan* scan, const FlatShape& shape, int64_t count,
                     const std::vector<Scan::Range>& ranges, const FlatPass& pass) {
  Context& context = scan->context();
  const auto k = static_cast<uint32_t>(scan->plan().k);
  const Buffer &parts = context.work(kParts), &best = context.work(kBest), &limits = context.work(kLimits);
  uint32_t lists = 0;
  for (const Scan::Range& range : ranges) lists += range.parts;
  // One list of all rows is the answer already.
  const bool direct = pass.is_whole && lists == 1;
  uint32_t base = 0;
  for (const Scan::Range& range : ranges) {
    Scan::Rows rows;
    NF_TRY(scan->rows_of(range, &rows));
    ScanParams p = scan->params(range, rows);
    p.k = k;
    if (pass.part_groups != 0) p.part_groups = pass.part_groups;
    p.part_base = base;
    p.part_stride = lists;
    base += range.parts;
    NF_TRY(context.dispatch(kFlat, {scan->metric(), shape.query_block, shape.list_capacity}, p,
                            scan->grid(range),
                            {rows.vectors, rows.side, rows.live, &context.work(kQueries), &scan->masks(),
                             direct ? &best : &parts, &limits, &context.work(kUnused)}));
  }
  if (direct) return {};
  MergeParams m{};
  m.batch = static_cast<uint32_t>(count);
  m.k = k;
  m.lists = m.part_stride = lists;
  m.first = pass.is_first;
  return context.dispatch(kMerge, {1, 1, shape.list_capacity}, m, context.grid(static_cast<uint64_t>(count)),
                          {&parts, &best, &limits});
}

Status direct_search(Scan* scan, Hit* hits) {
  Context& context = scan->context();
  const SearchPlan& plan = scan->plan();
  const FlatShape shape = context.flat_shape(plan.batch, plan.k);
  std::vector<Entry> entries;
  for (int64_t first = 0, count; first < plan.batch; first += count) {
    count = std::min(plan.batch - first, round_up(scan->queries_per_dispatch(), shape.query_block));
    while (count > 1 && !scan->fits(sizes_for(*scan, first, count, shape.query_block, 1)))
      count = (count + 1) / 2;
    uint32_t parts = most_parts(*scan, shape);
    while (parts > 1) {
      const WorkSizes sizes = sizes_for(*scan, first, count, shape.query_block, parts);
      if (sizes[kParts] <= kPartsBytes && scan->fits(sizes)) break;
      parts /= 2;
    }
    NF_TRY(context.reserve(sizes_for(*scan, first, count, shape.query_block, parts), "search"));
    NF_TRY(search_chunk(scan, first, count, shape, parts, &entries));
    put_hits(entries, hits + first * plan.k);
  }
  return {};
}

Status rows_search(Scan* scan, Hit* hits) {
  return scan->plan().k > scan->context().limits().most_list_k ? radix_search(scan, hits)
                                                               : direct_search(scan, hits);
}

}  // namespace nearfield::gpu
