// SPDX-License-Identifier: Apache-2.0
// Groups that several queries meet, as those of a list: their codes are read once for all of them (RunTile).
// What is left is rescored query by query, the most promising rows first, so that few are, and all results
// are those of queries that go alone.
#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "scan.hpp"

namespace nearfield::cpu {

namespace {
// Of the levels, that the queries of a panel read together at first: on decaying data (1M x 128, 16 of 1,024
// lists) a quarter of the pairs of query and group go on from there.
constexpr int64_t kFirstShare = 4;
// The first levels are doubled when more than 10 of 16 pairs go on, which is slower than reading on together,
// and halved when fewer than 3 do; so many pairs tell. Where all levels are read at once fewer are tried
// after so many.
constexpr int64_t kMostLonger = 10, kFewestLonger = 3, kLongerShare = 16;
constexpr int64_t kTellingVisits = 512;
constexpr int64_t kTriedVisits = 16 * kTellingVisits;
// Candidates between two looks at the limit; and of a query after a run, so many that their ranks would lower
// its limit (12 and 1,000 are 3% and 10% slower).
constexpr size_t kRescored = 8, kManyCandidates = 24;
// From so many queries on some read most groups to the last level.
constexpr int64_t kQueriesOfAll = 6;
}  // namespace

void Scan::begin_lists() {
  space_.tested.assign(static_cast<size_t>(part_.queries), std::numeric_limits<float>::infinity());
  for (int64_t i = 0; i < part_.queries; ++i) space_.states[static_cast<size_t>(i)].candidates.clear();
  space_.run_levels = 0;
}

void Scan::choose_levels(int64_t visits, int64_t longer) {
  space_.run_visits += visits;
  space_.run_longer += longer;
  if (space_.run_visits < kTellingVisits) return;
  const int64_t all = coded_[0].basis().shape().levels;
  int64_t levels = space_.run_levels;
  if (levels >= all)
    levels = space_.run_visits < kTriedVisits ? levels : (levels + 1) / 2;
  else if (kLongerShare * space_.run_longer > kMostLonger * space_.run_visits)
    levels = std::min(2 * levels, all);
  else if (kLongerShare * space_.run_longer < kFewestLonger * space_.run_visits)
    levels = (levels + 1) / 2;
  if (levels == space_.run_levels && levels == all) return;
  space_.run_levels = levels;
  space_.run_visits = space_.run_longer = 0;
}

void Scan::test_again(int64_t query) {
  const auto i = static_cast<size_t>(query);
  const float limit = space_.limits[i];
  if (limit == space_.tested[i]) return;
  space_.tested[i] = limit;
  for (size_t b = 0; b < coded_.size(); ++b) {
    const CodedQuery& coded = coded_[b].query(query);
    if (coded.direct) continue;
    coded_[b].basis().bound().set_limit(coded, limit, &space_.tests[b][i]);
    space_.product_tests[b][i] = coded_[b].product_test(query, space_.tests[b][i]);
  }
}

Status Scan::coded_runs(const Block& block, std::span<const int32_t> queries, const Block* next,
                        int64_t next_queries) {
  const size_t b = basis_of(*block.slab);
  const CodedQueries& coded = coded_[b];
  const CodeShape& shape = coded.basis().shape();
  if (space_.run_levels == 0) {
    space_.run_levels = std::max<int64_t>(1, shape.levels / kFirstShare);
    space_.run_visits = space_.run_longer = 0;
  }
  RunTile tile;
  tile.shape = &shape;
  tile.dot = metric_ == NF_DOT;
  tile.shrink = coded.product_shrink();
  tile.widen = CodedQueries::kProductWiden;
  const auto all = static_cast<int64_t>(queries.size());
  const int64_t widest = part_.state.codes->panel_queries;
  const Panels panels{all, (all + widest - 1) / widest};
  const auto levels_of = [&](int64_t count) {
    if (count >= kQueriesOfAll) return shape.levels;
    return std::min(shape.levels, count == 1 ? space_.run_levels : 2 * space_.run_levels);
  };
  for (int64_t panel = 0; panel < panels.count; ++panel) {
    const int64_t from = panels.first_query(panel), count = panels.first_query(panel + 1) - from;
    const auto some = queries.subspan(static_cast<size_t>(from), static_cast<size_t>(count));
    tile.count = static_cast<int32_t>(count);
    tile.levels = std::min(space_.run_levels, shape.levels);
    RunQuery of[kMostRunQueries];
    for (int64_t q = 0; q < count; ++q) of[q] = coded.run_query(some[static_cast<size_t>(q)], tile.levels);
    tile.queries = of;
    const int64_t chunks = tile.levels * shape.level_dims / kChunkFloats;
    space_.codes.fit(chunks * count);
    auto* const to = reinterpret_cast<int8_t*>(space_.codes.get());
    for (int64_t q = 0; q < count; ++q)
      for (int64_t chunk = 0; chunk < chunks; ++chunk)
        std::memcpy(to + (chunk * count + q) * kChunkFloats, of[q].codes + chunk * kChunkFloats,
                    kChunkFloats);
    tile.panel = to;
    tile.visits = tile.longer = 0;
    for (int64_t done = 0; done < block.groups; done += kRunGroups) {
      if (part_.state.pool->stopping()) return {};
      for (int64_t q = 0; q < count; ++q) {
        const int32_t query = some[static_cast<size_t>(q)];
        begin(query, query + 1);
        test_again(query);
        of[q].test = space_.product_tests[b][static_cast<size_t>(query)];
      }
      const int64_t left = block.groups - done;
      tile.readable = left;
      tile.ahead_levels = panel == 0 ? levels_of(all) : 0;
      tile.next_groups = 0;
      if (next != nullptr && panel + 1 == panels.count) {
        tile.next = next->slab->codes.group(next->first_group);
        tile.next_groups = next->groups;
        tile.next_levels = levels_of(next_queries);
      }
      NF_TRY(coded_run(*block.slab, block.first_group + done, std::min(kRunGroups, left), some, tile));
    }
    choose_levels(tile.visits, tile.longer);
  }
  return {};
}

Status Scan::coded_run(const Slab& slab, int64_t first_group, int64_t groups,
                       std::span<const int32_t> queries, RunTile& tile) {
  const auto count = static_cast<int64_t>(queries.size());
  const int64_t first_word = slab.first / kGroupRows + first_group;
  uint32_t wanted[kRunGroups * kMostRunQueries], kept[kRunGroups * kMostRunQueries];
  int32_t dots[kRunGroups * kMostRunQueries * kGroupRows];
  for (int64_t q = 0; q < count; ++q) {
    const int32_t query = queries[static_cast<size_t>(q)];
    const uint32_t* mask =
        part_.plan.mask_of_query == nullptr ? nullptr : part_.plan.mask_of_query[part_.first + query];
    for (int64_t g = 0; g < groups; ++g)
      wanted[g * count + q] = slab.live[first_group + g] & (mask == nullptr ? ~0u : mask[first_word + g]);
    int32_t& pause = space_.pauses[static_cast<size_t>(query)];
    if (pause == 0) continue;
    --pause;
    for (int64_t g = 0; g < groups; ++g) {
      uint32_t& rows = wanted[g * count + q];
      if (rows == 0) continue;
      direct_call(group_of(slab, first_group + g), &query, &rows, 1, groups > 1);
      rows = 0;
      NF_TRY(poll(chunks_ * kChunkStride));
    }
  }
  tile.first = slab.codes.group(first_group);
  tile.groups = groups;
  tile.wanted = wanted;
  tile.kept = kept;
  tile.dots = dots;
  const int64_t before = tile.visits;
  tile.levels_read = 0;
  part_.state.codes->runs(tile);
  const int64_t visits = tile.visits - before;
  const int64_t levels_read = visits * tile.levels + tile.levels_read;
  const CodeLayout& layout = slab.codes.layout;
  // A tail is read with each level but the last; it is counted with all.
  const int64_t level_bytes = layout.level_bytes() + kGroupRows;
  scanned_.read += static_cast<uint64_t>(visits * layout.side_bytes() + levels_read * level_bytes);
  scanned_.whole += static_cast<uint64_t>(visits * (layout.side_bytes() + layout.levels() * level_bytes));
  NF_TRY(poll(visits * chunks_ * kChunkStride / 4 + groups * count));
  int32_t survivors[kMostRunQueries] = {};
  for (int64_t g = 0; g < groups; ++g) {
    const Group group = group_of(slab, first_group + g);
    for (int64_t q = 0; q < count; ++q) {
      const int64_t at = g * count + q;
      if (kept[at] == 0) continue;
      const int32_t query = queries[static_cast<size_t>(q)], here = std::popcount(kept[at]);
      survivors[q] += here;
      if (here <= kScatteredRescore) {
        // Without a limit there is nothing yet by which some are more promising.
        if (tile.queries[q].test.fixed == std::numeric_limits<float>::infinity())
          rescore(group, query, kept[at]);
        else
          keep_candidates(group, query, kept[at], dots + at * kGroupRows);
        continue;
      }
      space_.states[static_cast<size_t>(query)].rescored += here;
      direct_call(group, &query, &wanted[at], 1, false);
    }
  }
  if (pairs_.count != 0) rescore_pairs();
  for (const int32_t query : queries)
    if (space_.states[static_cast<size_t>(query)].candidates.size() >= kManyCandidates) {
      sort_candidates(query);
      rescore_candidates(query);
    }
  // To decode all rows is never the shorter way.
  for (int64_t q = 0; q < count; ++q)
    if (survivors[q] >= kHopelessRows && part_.store.has_rows())
      space_.pauses[static_cast<size_t>(queries[static_cast<size_t>(q)])] = kPausedRuns;
  return {};
}

void Scan::keep_candidates(const Group& group, int64_t query, uint32_t rows, const int32_t* dots) {
  const size_t b = basis_of(*group.slab);
  const ProductTest& test = space_.product_tests[b][static_cast<size_t>(query)];
  const uint16_t* const sides = group.slab->codes.group(group.place).sides;
  std::vector<Candidate>& candidates = space_.states[static_cast<size_t>(query)].candidates;
  for (; rows != 0; rows &= rows - 1) {
    const int row = std::countr_zero(rows);
    if (candidates.size() == kMostCandidates) {
      sort_candidates(query);
      rescore_candidates(query);
    }
    candidates.push_back({group.slab, static_cast<int32_t>(group.place * kGroupRows + row),
                          coded_[b].product_terms(test, sides, row, dots[row]), 0});
  }
}

double Scan::excess(int64_t query, const Candidate& candidate) const {
  return candidate.terms.excess(space_.product_tests[basis_of(*candidate.slab)][static_cast<size_t>(query)]);
}

void Scan::sort_candidates(int64_t query) {
  std::vector<Candidate>& candidates = space_.states[static_cast<size_t>(query)].candidates;
  begin(query, query + 1);
  test_again(query);
  for (Candidate& candidate : candidates) candidate.excess = static_cast<float>(excess(query, candidate));
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.excess > b.excess; });
  if (!part_.store.has_rows()) return;
  for (size_t i = 0; i < std::min(kRescored, candidates.size()); ++i) prefetch(candidates[i]);
}

void Scan::prefetch(const Candidate& candidate) const {
  const float* row = candidate.slab->vectors + candidate.place / kGroupRows * chunks_ * kChunkStride +
                     candidate.place % kGroupRows * kChunkFloats;
  for (int64_t chunk = 0; chunk < chunks_; ++chunk) __builtin_prefetch(row + chunk * kChunkStride, 0, 2);
}

void Scan::rescore_candidates(int64_t query) {
  const auto i = static_cast<size_t>(query);
  std::vector<Candidate>& candidates = space_.states[i].candidates;
  const float limit = space_.tested[i];
  for (const Candidate& candidate : candidates) {
    if (pairs_.count >= static_cast<int64_t>(kRescored)) {
      rescore_pairs();
      test_again(query);
    }
    if ((space_.tested[i] == limit ? static_cast<double>(candidate.excess) : excess(query, candidate)) < 0)
      continue;
    const int64_t group = candidate.place / kGroupRows;
    rescore(group_of(*candidate.slab, group), query, 1u << (candidate.place % kGroupRows));
  }
  if (pairs_.count != 0) rescore_pairs();
  candidates.clear();
}

// The rows of each query come from memory while those of the one before are compared.
Status Scan::end_runs() {
  int64_t before = -1;
  for (int64_t i = 0; i <= part_.queries; ++i) {
    if (i < part_.queries) {
      if (space_.states[static_cast<size_t>(i)].candidates.empty()) continue;
      sort_candidates(i);
    }
    if (part_.state.pool->stopping()) return {};
    if (before >= 0) rescore_candidates(before);
    before = i;
    NF_TRY(poll(chunks_ * kChunkStride));
  }
  return {};
}

}  // namespace nearfield::cpu
