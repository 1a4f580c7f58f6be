// SPDX-License-Identifier: Apache-2.0
// Exact search of runs of groups by int8 codes: the nearest rows of each query, in their canonical form, give
// the first limits; `levels` goes over items, and `rescore` decides and tightens the limits from window to
// window, as in coded.cpp. Queries whose candidates find no room are searched again by the rows.
#include <algorithm>
#include <bit>

#include "coded.hpp"
#include "cut_short.hpp"
#include "run_items.hpp"

namespace nearfield::gpu {
namespace {

// Rows of a query that the first limits come from: a list or two, the most promising ones.
constexpr int64_t kNearRows = 1024;
// Lists of them, and queries at once: they are coded on the host.
constexpr uint32_t kNearParts = 32;
constexpr int64_t kMostQueries = 1024;

int64_t near_groups(const Scan& scan) {
  const int64_t least = forces_codes(scan.context().path()) ? scan.context().limits().tile_rows : kNearRows;
  return groups_of(std::max(least, kSampleTimes * scan.plan().k));
}

class Pass {
 public:
  Pass(Scan* scan, int64_t first) : scan_(*scan), codes_(*scan), first_(first) {}

  // As many queries as the workspace has room for, at least one.
  int64_t take();
  bool fits() const { return scan_.fits(sizes()); }
  Status run(Hit* hits, int32_t* rescored, ScanCount* scanned, std::vector<int64_t>* cut_short);

 private:
  Context& context() const { return scan_.context(); }
  FlatShape shape() const { return context().flat_shape(1, scan_.plan().k); }
  uint32_t code_loops() const { return static_cast<uint32_t>(codes_.most_levels()) + kLevelsLoops; }
  WorkSizes sizes() const;
  Status send();
  Status find_near();
  Status rescore(bool is_first);

  Scan& scan_;
  QueryCodes codes_;
  int64_t first_, count_ = 0;
  uint32_t capacity_ = 0, items_ = 0;
};

WorkSizes Pass::sizes() const {
  WorkSizes sizes{};
  scan_.add_sizes(first_, count_, 1, &sizes);
  const auto n = static_cast<uint64_t>(count_), k = static_cast<uint64_t>(scan_.plan().k);
  sizes[kCoded] = codes_.bytes(count_);
  sizes[kParts] = std::max(n * capacity_ * sizeof(uint32_t), n * kNearParts * k * sizeof(Entry));
  sizes[kCounts] = (2 * n + 1) * sizeof(uint32_t);
  sizes[kLimits] = n * sizeof(uint32_t);
  sizes[kBest] = n * k * sizeof(Entry);
  sizes[kItems] = n * std::max(items_, kNearParts) * sizeof(WorkItem);
  sizes[kReadback] = sizes[kBest] + (n + 1) * sizeof(uint32_t);
  return sizes;
}

int64_t Pass::take() {
  const SearchPlan& plan = scan_.plan();
  const auto k = static_cast<uint64_t>(plan.k);
  count_ = std::min(plan.batch - first_, kMostQueries);
  const uint64_t wanted = forces_codes(context().path()) ? std::max<uint64_t>(2 * k, 128)
                                                         : std::clamp<uint64_t>(256 * k, 8192, 32768);
  const uint64_t most = most_candidates(scan_, shape().list_capacity);
  capacity_ = std::bit_floor(static_cast<uint32_t>(std::min(most, wanted)));
  const RunItems runs(scan_, first_, count_);
  items_ = std::max(1u, runs.most_items(runs.item_groups(shape().workgroups, code_loops())));
  while (count_ > 1 && !fits()) count_ = (count_ + 1) / 2;
  while (capacity_ > kGroupRows && !fits()) capacity_ /= 2;
  while (items_ > 1 && !fits()) items_ = (items_ + 1) / 2;
  return count_;
}

Status Pass::send() {
  Queue& queue = context().queue();
  const auto n = static_cast<size_t>(count_);
  codes_.code(first_, count_, false);
  codes_.send();
  const std::vector<uint32_t> limits = first_limits(scan_.plan(), first_, count_), zeros(2 * n + 1, 0);
  queue.write(context().work(kLimits), 0, limits.data(), n * sizeof(uint32_t));
  queue.write(context().work(kCounts), 0, zeros.data(), zeros.size() * sizeof(uint32_t));
  return {};
}

Status Pass::find_near() {
  RunItems runs(scan_, first_, count_);
  std::vector<SlabItem> items;
  const uint32_t item_groups =
      runs.item_groups(shape().workgroups, flat_tile_loops(shape(), context().limits().lanes));
  const uint32_t most = std::min(kNearParts, most_parts(scan_, shape()));
  const uint32_t used = runs.next(near_groups(scan_), item_groups, most, &items);
  // What it finds is found again.
  return dispatch_flat_items(&scan_, {shape(), std::max(1u, used), count_, true}, &items);
}

// Of all slabs, for candidates are of any.
Status Pass::rescore(bool is_first) {
  MatrixParams p{};
  p.chunks = scan_.chunks();
  p.batch = p.workgroups = static_cast<uint32_t>(count_);
  p.k = static_cast<uint32_t>(scan_.plan().k);
  p.capacity = capacity_;
  p.first = is_first;
  size_t last = scan_.slabs().size() - 1;
  while (scan_.groups_in(last) == 0) --last;
  for (size_t slab = 0; slab <= last; ++slab) {
    const SlabBuffers& buffers = scan_.slabs()[slab];
    p.first_row = scan_.first_row_of(slab);
    p.slab_rows = scan_.groups_in(slab) * static_cast<uint32_t>(kGroupRows);
    p.goes_on = slab != last;
    NF_TRY(context().dispatch(kRescore, {scan_.metric(), 1, shape().list_capacity}, p,
                              context().grid(p.workgroups),
                              {&buffers.vectors, scan_.has_side() ? &buffers.side : &context().work(kUnused),
                               &context().work(kQueries), &context().work(kParts), &context().work(kCounts),
                               &context().work(kBest), &context().work(kLimits)}));
    p.first = 0;
    if ((slab + 1) % context().limits().dispatches == 0) NF_TRY(context().queue().submit(0, "search"));
  }
  return context().queue().submit(0, "search");
}

Status Pass::run(Hit* hits, int32_t* rescored, ScanCount* scanned, std::vector<int64_t>* cut_short) {
  Queue& queue = context().queue();
  const int32_t k = scan_.plan().k;
  const WorkSizes wanted = sizes();
  NF_TRY(context().reserve(wanted, "search"));
  NF_TRY(scan_.load(first_, count_, 1, shape().workgroups, code_loops()));
  NF_TRY(send());
  NF_TRY(find_near());
  RunItems runs(scan_, first_, count_);
  const uint32_t item_groups = runs.item_groups(shape().workgroups, code_loops());
  std::vector<SlabItem> items;
  int64_t seen = near_groups(scan_) * kGroupRows;
  bool is_first = true;
  do {
    // Without limits every row is a candidate.
    const int64_t window = std::max<int64_t>(capacity_, coded_window_rows(seen, capacity_, k)) / kGroupRows;
    runs.next(window, item_groups, items_, &items);
    NF_TRY(dispatch_items(&scan_, items, kCodeUnits, [&](size_t slab, uint32_t begin, uint32_t count) {
      int64_t groups = 0;
      for (uint32_t i = begin; i < begin + count; ++i)
        groups += items[i].item.group_end - items[i].item.group_begin;
      return codes_.dispatch_items(slab, begin, count, groups, capacity_);
    }));
    NF_TRY(rescore(is_first));
    is_first = false;
    seen = std::max(seen, window * kGroupRows);
  } while (!runs.done());
  const auto n = static_cast<size_t>(count_);
  const uint64_t best = wanted[kBest], sums = (n + 1) * sizeof(uint32_t);
  queue.copy(context().work(kBest), 0, context().work(kReadback), 0, best);
  queue.copy(context().work(kCounts), n * sizeof(uint32_t), context().work(kReadback), best, sums);
  NF_TRY(queue.submit(0, "search"));
  std::vector<uint8_t> back(best + sums);
  NF_TRY(queue.read(context().work(kReadback), back.size(), back.data(), "search"));
  put_hits({reinterpret_cast<const Entry*>(back.data()), best / sizeof(Entry)}, hits + first_ * k);
  const auto* counted = reinterpret_cast<const uint32_t*>(back.data() + best);
  read_sums(counted, first_, count_, rescored, cut_short);
  scanned->read += codes_.read(counted[n]);
  scanned->whole += codes_.whole();
  return {};
}

// All queries of the plan, none of which is too long for the bound.
Status passes(Scan* scan, Hit* hits, int32_t* rescored, ScanCount* scanned) {
  const SearchPlan& plan = scan->plan();
  std::vector<int64_t> cut_short;
  for (int64_t first = 0, count; first < plan.batch; first += count) {
    Pass pass(scan, first);
    count = pass.take();
    NF_TRY(pass.run(hits, rescored, scanned, &cut_short));
  }
  return search_others(scan, cut_short, hits, rescored, row_runs_search);
}

}  // namespace

bool run_codes_pay(const Scan& scan) {
  const SearchPlan& plan = scan.plan();
  const Path path = scan.context().path();
  if (!scan.is_coded() || path == Path::kDirect || path == Path::kMatrix) return false;
  const int64_t groups = RunItems(scan, 0, plan.batch).groups();
  const bool is_worth =
      plan.k <= scan.context().limits().most_coded_k && groups >= 4 * plan.batch * near_groups(scan);
  if (!forces_codes(path) && !is_worth) return false;
  Scan copy = scan;
  Pass one(&copy, 0);
  one.take();
  return one.fits();
}

Status coded_runs_search(Scan* scan, Hit* hits, int32_t* rescored, ScanCount* scanned) {
  std::vector<int64_t> by_codes, by_rows;
  for (int64_t q = 0; q < scan->plan().batch; ++q) (too_long(*scan, q) ? by_rows : by_codes).push_back(q);
  if (by_rows.empty()) return passes(scan, hits, rescored, scanned);
  NF_TRY(search_others(scan, by_rows, hits, rescored, row_runs_search));
  if (by_codes.empty()) return {};
  SearchPlan found = scan->plan();  // its outputs are the caller's
  found.hits = hits;
  found.rescored = rescored;
  return search_subset(found, by_codes, [&](const SearchPlan& some) {
    Scan codes(scan->store(), some, scan->call());
    return passes(&codes, some.hits, some.rescored, scanned);
  });
}

}  // namespace nearfield::gpu
