// SPDX-License-Identifier: Apache-2.0
// Exact search with the selection fused into the scan, for k up to kMaxListK; select.cpp has the rest.
#include <algorithm>

#include "scan.hpp"

namespace nearfield::wgpu {

Status radix_search(Scan* scan);

namespace {

constexpr uint32_t kMostParts = 1024;  // lists per query and submission
constexpr uint64_t kPartsBytes = 64ull << 20;

struct Shape {
  uint32_t query_block, list_capacity;

  // Loop iterations of sorting one list, the last of each loop, which only leaves it, included. With 64 lanes
  // and 256 entries: 8 runs, 36 steps, 2 pairs a step; with 1024: 10, 55 and 8.
  uint32_t sort_loops() const { return list_capacity == 256 ? 9 + 44 + 36 * 3 + 3 : 11 + 65 + 55 * 9 + 16; }
};

// List capacities hold k + TILE_ROWS entries; four queries by 256 entries and one by 1024 take 8 KiB of the
// 16 KiB of workgroup memory that every adapter has.
Shape shape_for(int64_t batch, int32_t k) {
  if (k > 128) return {1, 1024};
  return {batch > 1 ? 4u : 1u, 256};
}

WorkSizes sizes_for(const Scan& scan, int64_t first, int64_t count, uint32_t query_block, uint32_t parts) {
  WorkSizes sizes{};
  scan.add_sizes(first, count, query_block, &sizes);
  const uint64_t best = static_cast<uint64_t>(count) * static_cast<uint64_t>(scan.plan().k) * sizeof(Entry);
  sizes[kBest] = sizes[kReadback] = best;
  sizes[kParts] = best * parts;
  sizes[kLimits] = static_cast<uint64_t>(count) * sizeof(uint32_t);
  return sizes;
}

Status search_chunk(Scan* scan, int64_t first, int64_t count, const Shape& shape, uint32_t max_parts,
                    std::vector<Entry>* entries) {
  Context& context = scan->context();
  Gpu& gpu = context.gpu();
  const auto k = static_cast<uint32_t>(scan->plan().k);
  const Pipeline *flat = nullptr, *merge = nullptr;
  NF_TRY(
      context.pipelines().get(kFlatKernel, {scan->metric(), shape.query_block, shape.list_capacity}, &flat));
  // At worst every list is sorted at every tile.
  scan->load(first, count, shape.query_block, shape.query_block * (shape.sort_loops() + 16) + 16);
  const std::vector<uint32_t> no_limits(static_cast<size_t>(count), kEmpty);
  gpu.write(context.work(kLimits), 0, no_limits.data(), no_limits.size() * sizeof(uint32_t));
  const Buffer &parts = context.work(kParts), &best = context.work(kBest), &limits = context.work(kLimits);
  const uint64_t bytes = static_cast<uint64_t>(count) * k * sizeof(Entry);
  Commands commands(context);
  std::vector<Scan::Range> ranges;
  for (bool is_first = true; !scan->done(); is_first = false) {
    NF_TRY(scan->call().poll());
    const double units = scan->next(max_parts, kMaxRows, &ranges);
    uint32_t lists = 0;
    for (const Scan::Range& range : ranges) lists += range.parts;
    // One list of all rows is the answer already.
    const bool direct = is_first && scan->done() && lists == 1;
    uint32_t base = 0;
    for (const Scan::Range& range : ranges) {
      Grid grid{};
      ScanParams p = scan->params(range, &grid);
      p.k = k;
      p.part_base = base;
      p.part_stride = lists;
      base += range.parts;
      const SlabBuffers& slab = scan->slab(range);
      NF_TRY(commands.dispatch(*flat, p,
                               {&slab.vectors, &scan->side(range), &slab.live, &context.work(kQueries),
                                &scan->masks(), direct ? &best : &parts, &limits},
                               grid));
    }
    if (!direct) {
      NF_TRY(context.pipelines().get(kMergeKernel, {1, 1, shape.list_capacity}, &merge));
      MergeParams m{};
      m.batch = static_cast<uint32_t>(count);
      m.k = k;
      m.lists = m.part_stride = lists;
      m.first = is_first;
      const Grid grid = context.grid(static_cast<uint64_t>(count));
      m.grid_x = grid.x;
      NF_TRY(commands.dispatch(*merge, m, {&parts, &best, &limits}, grid));
    }
    if (scan->done()) commands.copy(best, 0, context.work(kReadback), 0, bytes);
    NF_TRY(commands.submit(units, "search"));
  }
  entries->resize(static_cast<size_t>(count) * k);
  return gpu.map_read(context.work(kReadback), bytes, entries->data(), "search");
}

}  // namespace

Status WgpuStore::search(const SearchPlan& plan, const Call& call) {
  NF_TRY(context_->gpu().health());
  Scan scan(*this, plan, call);
  const Drain drain(context_->gpu());
  if (plan.k > kMaxListK) return radix_search(&scan);

  const Shape shape = shape_for(plan.batch, plan.k);
  std::vector<Hit> hits(static_cast<size_t>(plan.batch) * static_cast<size_t>(plan.k));
  std::vector<Entry> entries;
  for (int64_t first = 0, count; first < plan.batch; first += count) {
    count = std::min(plan.batch - first, round_up(scan.queries_per_dispatch(), shape.query_block));
    while (count > 1 && !scan.fits(sizes_for(scan, first, count, shape.query_block, 1)))
      count = (count + 1) / 2;
    // A merge reads kTileRows entries a step and sorts at most once a step.
    const uint32_t steps =
        kMostLoops / (shape.sort_loops() + 16) - static_cast<uint32_t>(plan.k) / kLanes - 1;
    uint32_t parts = std::min(kMostParts, steps * kTileRows / static_cast<uint32_t>(plan.k));
    while (parts > 1) {
      const WorkSizes sizes = sizes_for(scan, first, count, shape.query_block, parts);
      if (sizes[kParts] <= kPartsBytes && scan.fits(sizes)) break;
      parts /= 2;
    }
    NF_TRY(context_->reserve(sizes_for(scan, first, count, shape.query_block, parts), "search"));
    NF_TRY(search_chunk(&scan, first, count, shape, parts, &entries));
    for (size_t i = 0; i < entries.size(); ++i) {
      Hit& hit = hits[static_cast<size_t>(first * plan.k) + i];
      if (entries[i].key != kEmpty) hit = {entries[i].row, rank_of_key(entries[i].key), 0};
    }
  }
  std::copy(hits.begin(), hits.end(), plan.hits);
  if (plan.rescored != nullptr) std::fill_n(plan.rescored, plan.batch, 0);
  return {};
}

}  // namespace nearfield::wgpu
