// SPDX-License-Identifier: Apache-2.0
// Exact search of runs of groups by the rows themselves: `flat` over items, a query each.
#include <algorithm>

#include "run_items.hpp"

namespace nearfield::gpu {
namespace {

// Lists of a query that are not worth fewer queries at once.
constexpr uint32_t kFewParts = 16;
constexpr uint64_t kPartsBytes = 64ull << 20;

WorkSizes sizes_for(const Scan& scan, int64_t first, int64_t count, uint32_t parts) {
  WorkSizes sizes{};
  scan.add_sizes(first, count, 1, &sizes);
  const auto n = static_cast<uint64_t>(count);
  sizes[kBest] = sizes[kReadback] = n * static_cast<uint64_t>(scan.plan().k) * sizeof(Entry);
  sizes[kParts] = sizes[kBest] * parts;
  sizes[kLimits] = n * sizeof(uint32_t);
  sizes[kItems] = n * parts * sizeof(WorkItem);
  return sizes;
}

}  // namespace

Status row_runs_search(Scan* scan, Hit* hits) {
  Context& context = scan->context();
  Queue& queue = context.queue();
  const SearchPlan& plan = scan->plan();
  const FlatShape shape = context.flat_shape(1, plan.k);
  const uint32_t tile_loops = flat_tile_loops(shape, context.limits().lanes);
  std::vector<Entry> entries;
  std::vector<SlabItem> items;
  for (int64_t first = 0, count; first < plan.batch; first += count) {
    count = plan.batch - first;
    uint32_t parts = most_parts(*scan, shape);
    const auto fits = [&] {
      const WorkSizes sizes = sizes_for(*scan, first, count, parts);
      return sizes[kParts] <= kPartsBytes && scan->fits(sizes);
    };
    RunItems runs(*scan, first, count);
    uint32_t item_groups = runs.item_groups(shape.workgroups, tile_loops);
    parts = std::clamp(runs.most_items(item_groups), 1u, parts);
    while (!fits() && (count > 1 || parts > 1)) {
      if (count > 1 && parts <= kFewParts)
        count = (count + 1) / 2;
      else
        parts = (parts + 1) / 2;
    }
    if (count != plan.batch - first) {
      runs = RunItems(*scan, first, count);
      item_groups = runs.item_groups(shape.workgroups, tile_loops);
    }
    const WorkSizes sizes = sizes_for(*scan, first, count, parts);
    NF_TRY(context.reserve(sizes, "search"));
    NF_TRY(scan->load(first, count, 1, shape.workgroups, tile_loops));
    const std::vector<uint32_t> limits = first_limits(plan, first, count);
    queue.write(context.work(kLimits), 0, limits.data(), limits.size() * sizeof(uint32_t));
    bool is_first = true;
    do {
      const uint32_t used = runs.next(kMaxRows, item_groups, parts, &items);
      NF_TRY(dispatch_flat_items(scan, {shape, std::max(1u, used), count, is_first}, &items));
      is_first = false;
    } while (!runs.done());
    const uint64_t bytes = sizes[kBest];
    queue.copy(context.work(kBest), 0, context.work(kReadback), 0, bytes);
    NF_TRY(queue.submit(0, "search"));
    entries.resize(bytes / sizeof(Entry));
    NF_TRY(queue.read(context.work(kReadback), bytes, entries.data(), "search"));
    put_hits(entries, hits + first * plan.k);
  }
  return {};
}

}  // namespace nearfield::gpu
