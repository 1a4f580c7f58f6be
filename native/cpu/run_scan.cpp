// SPDX-License-Identifier: Apache-2.0
// Queries that meet some groups each, as those of the lists of an index. What several meet is one piece of
// work, read once for all of them.
#include <algorithm>
#include <tuple>

#include "flat.hpp"

namespace nearfield::cpu {

namespace {
// Groups of a piece of work: some 100 us of codes for ten queries, so that workers end together; and of those
// that the first limits come from, which are computed in f32, or for 20 k rows (as in level_scan.cpp).
constexpr int64_t kPieceGroups = 128;
constexpr int64_t kNearGroups = 16;
constexpr int64_t kNearRowsPerHit = 20;
// Fewer queries share little, and their nearest lists come first.
constexpr int64_t kJoinedQueries = 4;
}  // namespace

void FlatSearch::cut_runs() {
  for (Meetings& meetings : meetings_) meetings = {};
  std::vector<Visit> visits[kPhases];
  const bool limited = (part_.levels || part_.lists) && !part_.capped();
  // A forced path is for tests, whose lists are small.
  const int64_t enough =
      state_.codes_always ? 1 : std::max(kNearGroups, groups_of(kNearRowsPerHit * plan_.k));
  const int64_t near = limited ? enough : 0;
  for (int64_t i = 0; i < part_.queries; ++i) {
    int64_t wanted = near;
    const auto query = static_cast<int32_t>(i);
    for (int64_t r = plan_.run_offsets[part_.first + i]; r < plan_.run_offsets[part_.first + i + 1]; ++r) {
      const GroupRun& run = plan_.runs[r];
      const int64_t taken = std::min(wanted, run.count);
      if (taken != 0) visits[0].push_back({{run.first, taken}, query});
      if (taken != run.count) visits[1].push_back({{run.first + taken, run.count - taken}, query});
      wanted -= taken;
    }
  }
  for (int phase = 0; phase < kPhases; ++phase) join(&visits[phase], &meetings_[phase]);
}

void FlatSearch::join(std::vector<Visit>* visits, Meetings* to) const {
  const auto key = [](const Visit& visit) {
    return std::tuple(visit.run.first, visit.run.count, visit.query);
  };
  const bool apart = state_.query_major || part_.queries < kJoinedQueries;
  if (!apart)
    std::sort(visits->begin(), visits->end(),
              [&](const Visit& a, const Visit& b) { return key(a) < key(b); });
  for (size_t i = 0; i < visits->size();) {
    const GroupRun run = (*visits)[i].run;
    const auto first = static_cast<int64_t>(to->queries.size());
    do {
      to->queries.push_back((*visits)[i++].query);
    } while (!apart && i < visits->size() && (*visits)[i].run.first == run.first &&
             (*visits)[i].run.count == run.count);
    add_pieces(run, first, static_cast<int64_t>(to->queries.size()) - first, &to->pieces);
  }
}

void FlatSearch::add_pieces(const GroupRun& run, int64_t first_query, int64_t queries,
                            std::vector<Piece>* to) const {
  const std::vector<Slab>& slabs = store_.slabs();
  const auto after = std::upper_bound(slabs.begin(), slabs.end(), run.first * kGroupRows,
                                      [](int64_t row, const Slab& slab) { return row < slab.first; });
  auto slab = static_cast<size_t>(after - slabs.begin()) - 1;
  for (int64_t first = run.first, left = run.count; left != 0;) {
    const int64_t at = first - slabs[slab].first / kGroupRows;
    const int64_t here = std::min({left, slabs[slab].groups - at, kPieceGroups});
    to->push_back({{&slabs[slab], at, here}, first_query, queries});
    first += here;
    left -= here;
    if (at + here == slabs[slab].groups) ++slab;
  }
}

Status FlatSearch::scan_runs() {
  cut_runs();
  for (int phase = 0; phase < kPhases; ++phase) {
    part_.pass = phase == 0 ? Pass::kAll : Pass::kMore;
    NF_TRY(scan_pieces(meetings_[phase], phase != 0 && (part_.levels || part_.lists)));
  }
  part_.pass = Pass::kAll;
  return {};
}

Status FlatSearch::scan_pieces(const Meetings& meetings, bool by_codes) {
  ticket_.store(0, std::memory_order_relaxed);
  const auto count = static_cast<int64_t>(meetings.pieces.size());
  return state_.pool->run(workers_, [&](int32_t worker) -> Status {
    Scan scan(part_, state_.workspace.workers[static_cast<size_t>(worker)]);
    for (int64_t i = ticket_.fetch_add(1); i < count; i = ticket_.fetch_add(1)) {
      if (state_.pool->stopping()) return {};
      // What is likely to come next here, and is somebody's soon in any case.
      const int64_t next = ticket_.load(std::memory_order_relaxed);
      const Piece* const then = next < count ? &meetings.pieces[static_cast<size_t>(next)] : nullptr;
      const Piece& piece = meetings.pieces[static_cast<size_t>(i)];
      const std::span<const int32_t> queries(meetings.queries.data() + piece.first_query,
                                             static_cast<size_t>(piece.queries));
      NF_TRY(scan.run(piece.block, queries, by_codes, then == nullptr ? nullptr : &then->block,
                      then == nullptr ? 0 : then->queries));
    }
    if (by_codes && part_.lists) NF_TRY(scan.end_runs());
    scanned_read_.fetch_add(scan.scanned().read, std::memory_order_relaxed);
    scanned_whole_.fetch_add(scan.scanned().whole, std::memory_order_relaxed);
    return {};
  });
}

Status Scan::run(const Block& block, std::span<const int32_t> queries, bool by_codes, const Block* next,
                 int64_t next_queries) {
  if (by_codes && part_.lists) return coded_runs(block, queries, next, next_queries);
  for (int64_t done = 0; done < block.groups; done += kRunGroups) {
    const int64_t first = block.first_group + done, groups = std::min(kRunGroups, block.groups - done);
    for (const int32_t query : queries) {
      begin(query, query + 1);
      if (by_codes) NF_TRY(levels_of_query(*block.slab, first, groups, query));
    }
    if (by_codes) continue;
    for (int64_t g = first; g < first + groups; ++g)
      if (block.slab->live[g] != 0) NF_TRY(direct(group_of(*block.slab, g), queries));
  }
  return {};
}

Status Scan::direct(const Group& group, std::span<const int32_t> queries) {
  for (size_t from = 0; from < queries.size(); from += kQueriesPerCall) {
    const size_t to = std::min(from + kQueriesPerCall, queries.size());
    int32_t some[kQueriesPerCall], count = 0;
    uint32_t rows[kQueriesPerCall];
    for (size_t i = from; i < to; ++i) {
      uint32_t wanted = 0;
      wanted_rows(group, queries[i], queries[i] + 1, &wanted);
      if (wanted == 0) continue;
      some[count] = queries[i];
      rows[count++] = wanted;
    }
    if (count != 0) direct_call(group, some, rows, count, queries.size() <= kQueriesPerCall);
    NF_TRY(poll(count * group.floats + static_cast<int64_t>(to - from) * kMaskProducts));
  }
  return {};
}

}  // namespace nearfield::cpu
