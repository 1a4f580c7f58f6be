// SPDX-License-Identifier: Apache-2.0
#include "run_items.hpp"

#include <algorithm>
#include <limits>
#include <tuple>

namespace nearfield::gpu {

RunItems::RunItems(const Scan& scan, int64_t first, int64_t count) : scan_(&scan), first_(first) {
  const SearchPlan& plan = scan.plan();
  for (int64_t q = first; q < first + count; ++q) {
    places_.push_back({plan.run_offsets[q], 0});
    for (int64_t r = plan.run_offsets[q]; r < plan.run_offsets[q + 1]; ++r) groups_ += plan.runs[r].count;
  }
  left_ = groups_;
}

bool RunItems::has_more(size_t query) const {
  return places_[query].run < scan_->plan().run_offsets[first_ + static_cast<int64_t>(query) + 1];
}

SlabItem RunItems::cut(size_t query, int64_t most) const {
  const Place& place = places_[query];
  const GroupRun& run = scan_->plan().runs[place.run];
  const int64_t group = run.first + place.passed;
  const size_t slab = scan_->slab_of(group * kGroupRows);
  const int64_t begin = group - scan_->first_row_of(slab) / kGroupRows;
  const int64_t count = std::min({run.count - place.passed, scan_->groups_in(slab) - begin, most});
  return {
      slab,
      {static_cast<uint32_t>(begin), static_cast<uint32_t>(begin + count), static_cast<uint32_t>(query), 0}};
}

void RunItems::pass(size_t query, int64_t groups) {
  Place& place = places_[query];
  place.passed += groups;
  left_ -= groups;
  if (place.passed == scan_->plan().runs[place.run].count) place = {place.run + 1, 0};
}

uint32_t RunItems::item_groups(uint32_t workgroups, uint32_t tile_loops) const {
  const Limits& limits = scan_->context().limits();
  const int64_t tile = limits.tile_rows / kGroupRows;
  const auto worth = static_cast<int64_t>(limits.least_part_units / (32.0 * scan_->chunks()));
  return static_cast<uint32_t>(std::clamp<int64_t>(round_up(std::max(groups_ / workgroups, worth), tile),
                                                   tile, scan_->most_part_groups(tile_loops)));
}

uint32_t RunItems::most_items(uint32_t item_groups) const {
  RunItems rest = *this;
  uint32_t most = 0;
  for (size_t q = 0; q < places_.size(); ++q) {
    uint32_t items = 0;
    for (; rest.has_more(q); ++items) {
      const WorkItem item = rest.cut(q, item_groups).item;
      rest.pass(q, item.group_end - item.group_begin);
    }
    most = std::max(most, items);
  }
  return most;
}

uint32_t RunItems::next(int64_t groups, uint32_t item_groups, uint32_t most, std::vector<SlabItem>* items) {
  items->clear();
  uint32_t parts = 0;
  for (size_t q = 0; q < places_.size(); ++q) {
    int64_t wanted = groups;
    for (uint32_t part = 0; part < most && wanted > 0 && has_more(q); ++part) {
      SlabItem found = cut(q, std::min<int64_t>(item_groups, wanted));
      found.item.part = part;
      const int64_t count = found.item.group_end - found.item.group_begin;
      pass(q, count);
      wanted -= count;
      items->push_back(found);
      parts = std::max(parts, part + 1);
    }
  }
  const auto place = [](const SlabItem& i) { return std::tuple(i.slab, i.item.group_begin, i.item.query); };
  std::sort(items->begin(), items->end(),
            [&](const SlabItem& a, const SlabItem& b) { return place(a) < place(b); });
  return parts;
}

std::vector<uint32_t> first_limits(const SearchPlan& plan, int64_t first, int64_t count) {
  std::vector<uint32_t> keys(static_cast<size_t>(count), kEmpty);
  for (size_t q = 0; q < keys.size() && plan.limits != nullptr; ++q) {
    const float limit = plan.limits[static_cast<size_t>(first) + q];
    if (limit != std::numeric_limits<float>::infinity()) keys[q] = key_of_rank(limit);
  }
  return keys;
}

Status dispatch_items(Scan* scan, const std::vector<SlabItem>& items, double units,
                      const std::function<Status(size_t slab, uint32_t begin, uint32_t count)>& encode) {
  Context& context = scan->context();
  Queue& queue = context.queue();
  std::vector<WorkItem> table;
  for (const SlabItem& item : items) table.push_back(item.item);
  queue.write(context.work(kItems), 0, table.data(), table.size() * sizeof(WorkItem));
  const double per_group = kGroupRows * scan->chunks() * units;
  double gathered = 0;
  uint32_t dispatches = 0;
  for (size_t begin = 0, end; begin < items.size(); begin = end) {
    NF_TRY(scan->call().poll());
    const size_t slab = items[begin].slab;
    for (end = begin; end < items.size() && items[end].slab == slab; ++end) {
      const WorkItem& item = items[end].item;
      const double more = (item.group_end - item.group_begin) * per_group;
      if (end != begin && gathered + more > context.units_per_dispatch()) break;
      gathered += more;
    }
    NF_TRY(encode(slab, static_cast<uint32_t>(begin), static_cast<uint32_t>(end - begin)));
    if (++dispatches == context.limits().dispatches || gathered >= context.units_per_dispatch() ||
        end == items.size() || items[end].slab == slab) {
      NF_TRY(queue.submit(gathered, "search"));
      gathered = 0;
      dispatches = 0;
    }
  }
  return {};
}

Status dispatch_flat_items(Scan* scan, const FlatItems& flat, std::vector<SlabItem>* items) {
  Context& context = scan->context();
  const auto k = static_cast<uint32_t>(scan->plan().k);
  // One list of all is the answer already.
  const bool direct = flat.parts == 1 && flat.is_first;
  const Buffer &lists = context.work(direct ? kBest : kParts), &limits = context.work(kLimits);
  // Every query has as many lists, those that it does not need of no groups.
  std::vector<uint32_t> used(static_cast<size_t>(flat.count));
  for (const SlabItem& item : *items) ++used[item.item.query];
  for (uint32_t q = 0; q < used.size(); ++q)
    for (uint32_t part = used[q]; part < flat.parts; ++part)
      items->push_back({items->empty() ? 0 : items->back().slab, {0, 0, q, part}});
  NF_TRY(dispatch_items(scan, *items, 1, [&](size_t slab, uint32_t begin, uint32_t count) {
    const SlabBuffers& rows = scan->slabs()[slab];
    ScanParams p{};
    p.chunks = scan->chunks();
    p.first_row = scan->first_row_of(slab);
    p.query_blocks = 1;
    p.batch = static_cast<uint32_t>(flat.count);
    p.k = k;
    p.workgroups = count;
    p.part_stride = flat.parts;
    p.has_masks = scan->has_masks();
    p.has_items = 1;
    p.item_begin = begin;
    return context.dispatch(
        kFlat, {scan->metric(), flat.shape.query_block, flat.shape.list_capacity}, p, context.grid(count),
        {&rows.vectors, scan->has_side() ? &rows.side : &context.work(kUnused), &rows.live,
         &context.work(kQueries), &scan->masks(), &lists, &limits, &context.work(kItems)});
  }));
  if (direct) return {};
  MergeParams m{};
  m.batch = static_cast<uint32_t>(flat.count);
  m.k = k;
  m.lists = m.part_stride = flat.parts;
  m.first = flat.is_first;
  NF_TRY(context.dispatch(kMerge, {1, 1, flat.shape.list_capacity}, m,
                          context.grid(static_cast<uint64_t>(flat.count)),
                          {&lists, &context.work(kBest), &limits}));
  return context.queue().submit(0, "search");
}

}  // namespace nearfield::gpu
