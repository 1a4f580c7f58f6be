// SPDX-License-Identifier: Apache-2.0
// Queries that meet some groups each, as those of the lists of an index: work is a query and a few groups, in
// the order of the groups, so that those that several queries meet are read from memory once.
#include <algorithm>
#include <tuple>

#include "flat.hpp"

namespace nearfield::cpu {

namespace {
// Groups of a visit: some 100 us of codes, so that workers end together; and of those that the first limits
// come from, which are computed in f32, or for 20 k rows (as in level_scan.cpp).
constexpr int64_t kVisitGroups = 128;
constexpr int64_t kNearGroups = 16;
constexpr int64_t kNearRowsPerHit = 20;
// Visits drawn at once: neighbours share groups in a cache.
constexpr int64_t kShare = 8;
}  // namespace

void FlatSearch::add_run(int64_t query, const GroupRun& run, std::vector<Visit>* to) const {
  const std::vector<Slab>& slabs = store_.slabs();
  const auto after = std::upper_bound(slabs.begin(), slabs.end(), run.first * kGroupRows,
                                      [](int64_t row, const Slab& slab) { return row < slab.first; });
  auto slab = static_cast<size_t>(after - slabs.begin()) - 1;
  for (int64_t first = run.first, left = run.count; left != 0;) {
    const int64_t at = first - slabs[slab].first / kGroupRows;
    const int64_t here = std::min({left, slabs[slab].groups - at, kVisitGroups});
    to->push_back({{&slabs[slab], at, here}, static_cast<int32_t>(query)});
    first += here;
    left -= here;
    if (at + here == slabs[slab].groups) ++slab;
  }
}

void FlatSearch::cut_runs() {
  near_.clear();
  rest_.clear();
  const int64_t near = std::max(kNearGroups, groups_of(kNearRowsPerHit * plan_.k));
  for (int64_t i = 0; i < part_.queries; ++i) {
    int64_t wanted = part_.levels && !part_.capped() ? near : 0;
    for (int64_t r = plan_.run_offsets[part_.first + i]; r < plan_.run_offsets[part_.first + i + 1]; ++r) {
      const GroupRun& run = plan_.runs[r];
      const int64_t taken = std::min(wanted, run.count);
      if (taken != 0) add_run(i, {run.first, taken}, &near_);
      if (taken != run.count) add_run(i, {run.first + taken, run.count - taken}, &rest_);
      wanted -= taken;
    }
  }
  const auto by_group = [](const Visit& a, const Visit& b) {
    return std::tuple(a.block.slab, a.block.first_group, a.query) <
           std::tuple(b.block.slab, b.block.first_group, b.query);
  };
  std::sort(near_.begin(), near_.end(), by_group);
  std::sort(rest_.begin(), rest_.end(), by_group);
}

Status FlatSearch::scan_runs() {
  cut_runs();
  part_.pass = Pass::kAll;
  NF_TRY(scan_visits(near_, false));
  part_.pass = Pass::kMore;
  NF_TRY(scan_visits(rest_, part_.levels));
  part_.pass = Pass::kAll;
  return {};
}

Status FlatSearch::scan_visits(const std::vector<Visit>& visits, bool by_codes) {
  ticket_.store(0, std::memory_order_relaxed);
  const auto count = static_cast<int64_t>(visits.size());
  return state_.pool->run(workers_, [&](int32_t worker) -> Status {
    Scan scan(part_, state_.workspace.workers[static_cast<size_t>(worker)]);
    for (int64_t from = ticket_.fetch_add(kShare); from < count; from = ticket_.fetch_add(kShare))
      for (int64_t i = from; i < std::min(from + kShare, count); ++i) {
        if (state_.pool->stopping()) return {};
        const Visit& visit = visits[static_cast<size_t>(i)];
        NF_TRY(scan.run(visit.block, visit.query, by_codes));
      }
    scanned_read_.fetch_add(scan.scanned().read, std::memory_order_relaxed);
    scanned_whole_.fetch_add(scan.scanned().whole, std::memory_order_relaxed);
    return {};
  });
}

Status Scan::run(const Block& block, int64_t query, bool by_codes) {
  for (int64_t done = 0; done < block.groups; done += kRunGroups) {
    begin(query, query + 1);
    const int64_t first = block.first_group + done, groups = std::min(kRunGroups, block.groups - done);
    if (by_codes) {
      NF_TRY(levels_of_query(*block.slab, first, groups, query));
      continue;
    }
    for (int64_t g = first; g < first + groups; ++g)
      if (block.slab->live[g] != 0) NF_TRY(direct(group_of(*block.slab, g), query, query + 1));
  }
  return {};
}

}  // namespace nearfield::cpu
