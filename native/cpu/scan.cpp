// SPDX-License-Identifier: Apache-2.0
#include "scan.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>

#include "sample.hpp"

namespace nearfield::cpu {

namespace {
constexpr float kNone = std::numeric_limits<float>::infinity();
// Queries that meet a block of rows at a time: half of a 1 MiB L2 (AMD's and Intel's servers), beside two
// groups.
constexpr int64_t kTileBytes = int64_t{512} << 10;
// ... but not so few that packing a group costs more than a twentieth of what is then done with it (1536 and
// 3072 dimensions: 3 to 5% faster than 8).
constexpr int64_t kTilePanels = 16;
// Groups between two looks at the other workers' limits: a look costs a few cycles a query, a group over 100.
constexpr int64_t kLimitGroups = 16;
// Products between two polls: about 10 ms on the slowest path (0.1 G/s emulated) up to 700 dimensions, where
// one call of a kernel is as much; a poll's 50 ns vanish on the fastest.
constexpr int64_t kPollProducts = int64_t{1} << 20;
// When that happens to most queries the product excludes too little (far offsets, duplicates, the first rows
// of a scan); then a group goes without it, and twice as many whenever it happens again, up to so many: a
// failed trial then costs 1/16 of the time.
constexpr int32_t kDirectGroups = 15;
// Rows that stay in the caches of a core are not asked for: at 1,000 rows of 128 that took a quarter of a
// single search.
constexpr int64_t kCachedBytes = int64_t{1} << 20;
// What a query costs the direct kernel, in queries of the product kernel (L2: two operations an element, and
// joins).
constexpr int64_t kDirectCost = 3;
// Few queries wait for memory: the lines that follow soonest come first (measured: 36 GB/s at 1 KiB ahead, 29
// at 16 KiB and more). More queries compute longer than a group takes to arrive: then the whole next group is
// asked for.
constexpr int32_t kNearQueries = 3;
constexpr int64_t kNearBytes = 1024;
}  // namespace

Scan::Scan(const Part& part, WorkerSpace& space)
    : part_(part),
      space_(space),
      kernels_(*part.state.kernels),
      metric_(part.store.options().metric),
      chunks_(part.store.chunks()),
      prefetch_(part.store.has_rows() && part.store.rows() * chunks_ * 16 > kCachedBytes),
      coded_(part.state.workspace.coded) {
  space_.limits.assign(static_cast<size_t>(part.queries), kNone);
  space_.cuts.assign(static_cast<size_t>(part.queries), kNone);
  for (int64_t i = 0; i < part.queries; ++i) {
    QueryState& state = space_.states[static_cast<size_t>(i)];
    const int64_t hits = part.capped() ? part.plan.cap + 1 : part.plan.k;
    if (part.pass == Pass::kRest || part.pass == Pass::kMore) {
      state.queue.resume(hits, part.state.workspace.limits[static_cast<size_t>(i)].get());
      continue;
    }
    state.queue.reset(part.pass == Pass::kSample ? sample_hits(hits) : hits);
    state.rescored = 0;
  }
  if (part.levels || part.coded_product || part.lists) begin_coded();
}

Scan::Group Scan::group_of(const Slab& slab, int64_t group) const {
  return {slab.vectors == nullptr ? nullptr : slab.vectors + group * chunks_ * kChunkStride,
          slab.side + group * kGroupRows,
          chunks_ * kChunkStride,
          slab.first + group * kGroupRows,
          slab.first / kGroupRows + group,
          slab.live[group],
          &slab,
          group};
}

const float* Scan::rows_of(const Group& group, uint32_t wanted) {
  if (group.rows != nullptr) return group.rows;
  if (decoded_group_ != group.first_row) {
    if (pairs_.count != 0) rescore_pairs();  // which are of the group before
    decoded_group_ = group.first_row;
    decoded_rows_ = 0;
  }
  const uint32_t missing = wanted & ~decoded_rows_;
  if (missing != 0) {
    part_.store.decode(*group.slab, group.place, missing, space_.decoded.get(), space_);
    const int64_t dim = part_.store.options().dim;
    unpolled_ += std::popcount(missing) * dim * dim;
  }
  decoded_rows_ |= missing;
  return space_.decoded.get();
}

Status Scan::block(const Block& block) {
  if (part_.levels) return levels(block);
  std::optional<ProductWork> work;
  if (part_.coded_product) work.emplace(*part_.state.codes);
  const Slab& slab = *block.slab;
  const bool panels = part_.product || part_.coded_product;
  const int64_t tile = std::max<int64_t>(1, kTileBytes / (chunks_ * 16));
  const int64_t step =
      panels ? std::max(kTilePanels, tile / kernels_.panel_queries) : round_up(tile, kQueriesPerCall);
  const int64_t end = panels ? part_.panels.count : part_.queries;
  for (int64_t from = 0; from < end; from += step) {
    const int64_t to = std::min(from + step, end);
    const int64_t first = panels ? part_.panels.first_query(from) : from;
    const int64_t last = panels ? part_.panels.first_query(to) : to;
    for (int64_t i = 0; i < block.groups; ++i) {
      const int64_t at = block.first_group + i;
      if (i % kLimitGroups == 0) begin(first, last);
      if (slab.live[at] == 0 || !visits(part_.pass, slab.first / kGroupRows + at)) continue;
      if (part_.state.pool->stopping()) return {};
      const Group group = group_of(slab, at);
      if (part_.coded_product && uncoded_groups_ == 0) {
        NF_TRY(coded_product(slab, group, from, to));
        continue;
      }
      uncoded_groups_ = std::max(0, uncoded_groups_ - 1);
      if (part_.product && direct_groups_ == 0) {
        NF_TRY(product(group, from, to));
      } else {
        direct_groups_ = std::max(0, direct_groups_ - 1);
        NF_TRY(direct(group, first, last));
      }
    }
  }
  return {};
}

void Scan::begin(int64_t first, int64_t last) {
  for (int64_t i = first; i < last; ++i) {
    const float limit = part_.state.workspace.limits[static_cast<size_t>(i)].get();
    if (limit < space_.limits[static_cast<size_t>(i)]) take_limit(i, limit);
  }
}

void Scan::take_limit(int64_t query, float limit) {
  const auto i = static_cast<size_t>(query);
  space_.limits[i] = limit;
  if (part_.levels || part_.coded_product) take_coded_limit(query, limit);
  if (!part_.product) return;
  space_.cuts[i] = metric_ == NF_DOT ? limit : part_.bound.cut(part_.state.workspace.squared[i], limit);
}

void Scan::share_limit(int64_t query) {
  const float limit = space_.states[static_cast<size_t>(query)].queue.limit();
  if (limit >= space_.limits[static_cast<size_t>(query)]) return;
  take_limit(query, limit);
  part_.state.workspace.limits[static_cast<size_t>(query)].lower(limit);
}

Status Scan::poll(int64_t products) {
  unpolled_ += products;
  if (unpolled_ < kPollProducts) return {};
  unpolled_ = 0;
  return part_.call.poll();
}

int32_t Scan::wanted_rows(const Group& group, int64_t first, int64_t last, uint32_t* wanted) const {
  if (part_.plan.mask_of_query == nullptr) {
    std::fill_n(wanted, last - first, group.live);
    return static_cast<int32_t>(last - first);
  }
  int32_t count = 0;
  for (int64_t i = first; i < last; ++i) {
    const uint32_t* mask = part_.plan.mask_of_query[part_.first + i];
    wanted[i - first] = mask == nullptr ? group.live : group.live & mask[group.word];
    count += wanted[i - first] != 0 ? 1 : 0;
  }
  return count;
}

Status Scan::direct(const Group& group, int64_t first, int64_t last) {
  for (int64_t from = first; from < last; from += kQueriesPerCall) {
    const int64_t to = std::min<int64_t>(from + kQueriesPerCall, last);
    uint32_t wanted[kQueriesPerCall];
    const int32_t count = wanted_rows(group, from, to, wanted);
    if (count != 0) direct_wanted(group, from, to, wanted, last - first <= kQueriesPerCall);
    NF_TRY(poll(count * group.floats + (to - from) * kMaskProducts));
  }
  return {};
}

void Scan::direct_wanted(const Group& group, int64_t first, int64_t last, const uint32_t* wanted,
                         bool only_call) {
  int32_t queries[kQueriesPerCall];
  uint32_t rows[kQueriesPerCall];
  int32_t count = 0;
  for (int64_t i = first; i < last; ++i) {
    if (wanted[i - first] == 0) continue;
    queries[count] = static_cast<int32_t>(i);
    rows[count++] = wanted[i - first];
  }
  direct_call(group, queries, rows, count, only_call);
}

void Scan::direct_call(const Group& group, const int32_t* queries, const uint32_t* wanted, int32_t count,
                       bool only_call) {
  const float* vectors[kQueriesPerCall];
  float limits[kQueriesPerCall];
  float ranks[kQueriesPerCall * kGroupRows];
  uint32_t kept[kQueriesPerCall];
  uint32_t any = 0;
  for (int32_t i = 0; i < count; ++i) {
    vectors[i] = part_.query(queries[i]);
    limits[i] = space_.limits[static_cast<size_t>(queries[i])];
    any |= wanted[i];
  }
  DirectTile tile{rows_of(group, any), group.side, chunks_, vectors, count, limits};
  if (only_call && group.rows != nullptr) {
    tile.ahead =
        count <= kNearQueries ? reinterpret_cast<const char*>(group.rows) + kNearBytes : group.next();
    tile.ahead_end = tile.ahead + group.bytes();
  }
  tile.ranks = ranks;
  tile.kept = kept;
  kernels_.direct[metric_ - 1](tile);
  for (int32_t i = 0; i < count; ++i) {
    uint32_t rows = kept[i] & wanted[i];
    if (rows == 0) continue;
    for (; rows != 0; rows &= rows - 1) {
      const int row = std::countr_zero(rows);
      push(queries[i], {group.first_row + row, ranks[i * kGroupRows + row], 0});
    }
    share_limit(queries[i]);
  }
}

Status Scan::product(const Group& group, int64_t first_panel, int64_t last_panel) {
  const Panels& panels = part_.panels;
  float* packed = space_.packed.get();
  float* side = packed + group.floats;
  bool is_packed = false;
  const int64_t step = std::max<int64_t>(1, kQueriesPerCall / (panels.narrow() + 1));
  const int64_t calls = (last_panel - first_panel + step - 1) / step;
  const int64_t ahead = prefetch_ ? round_up(group.bytes() / calls, kCacheLine) : 0;
  const char* next = group.next();
  int64_t hopeless = 0;
  for (int64_t panel = first_panel; panel < last_panel; panel += step, next += ahead) {
    const int64_t end = std::min(panel + step, last_panel);
    const int64_t first = panels.first_query(panel), last = panels.first_query(end);
    uint32_t wanted[kQueriesPerCall];
    const int32_t wanting = wanted_rows(group, first, last, wanted);
    NF_TRY(poll(wanting * group.floats + (last - first) * kMaskProducts));
    if (wanting == 0) continue;
    if (wanting * kDirectCost < last - first) {  // filters differ from query to query
      direct_wanted(group, first, last, wanted, false);
      continue;
    }
    if (!is_packed) kernels_.pack(rows_of(group, group.live), group.side, chunks_, packed, side);
    is_packed = true;
    float ranks[kQueriesPerCall * kGroupRows];
    uint32_t kept[kQueriesPerCall];
    ProductTile tile;
    tile.rows = packed;
    tile.side = side;
    tile.chunks = chunks_;
    tile.panels = part_.state.workspace.panels.get() + first * chunks_ * kChunkFloats;
    tile.panel_count = static_cast<int32_t>(end - panel);
    tile.panel_queries = static_cast<int32_t>(panels.narrow());
    tile.wider_panels = static_cast<int32_t>(std::clamp<int64_t>(panels.wider() - panel, 0, end - panel));
    tile.half_shrunk = part_.bound.half_shrunk();
    tile.cuts = space_.cuts.data() + first;
    if (prefetch_) {
      tile.ahead = next;
      tile.ahead_end = next + ahead;
    }
    tile.ranks = ranks;
    tile.kept = kept;
    kernels_.product[metric_ - 1](tile);

    uint32_t rows[kQueriesPerCall];
    for (int64_t i = first; i < last; ++i) {
      rows[i - first] = 0;
      const uint32_t places = kept[i - first];
      if (places == 0) continue;
      if (metric_ == NF_DOT) {
        keep_ranks(group, i, wanted[i - first], places, ranks + (i - first) * kGroupRows);
        continue;
      }
      for (uint32_t left = places; left != 0; left &= left - 1)
        rows[i - first] |= 1u << kernels_.row_of_place[std::countr_zero(left)];
    }
    hopeless += rescore_kept(group, first, last, rows, wanted);
  }
  if (pairs_.count != 0) rescore_pairs();
  if (2 * hopeless > panels.first_query(last_panel) - panels.first_query(first_panel)) {
    direct_groups_ = next_direct_;
    next_direct_ = std::min(2 * next_direct_ + 1, kDirectGroups);
  } else {
    next_direct_ = 1;
  }
  return {};
}

int64_t Scan::rescore_kept(const Group& group, int64_t first, int64_t last, const uint32_t* rows,
                           const uint32_t* wanted) {
  int32_t again[kQueriesPerCall];
  uint32_t all[kQueriesPerCall];
  int32_t count = 0;
  for (int64_t i = first; i < last; ++i) {
    const uint32_t kept = rows[i - first] & wanted[i - first];
    if (kept == 0) continue;
    if (std::popcount(kept) <= kScatteredRescore) {
      rescore(group, i, kept);
    } else {
      again[count] = static_cast<int32_t>(i);
      all[count++] = wanted[i - first];
      space_.states[static_cast<size_t>(i)].rescored += std::popcount(kept);
    }
  }
  if (count != 0) direct_call(group, again, all, count, false);
  return count;
}

void Scan::keep_ranks(const Group& group, int64_t query, uint32_t wanted, uint32_t places,
                      const float* ranks) {
  for (; places != 0; places &= places - 1) {
    const int place = std::countr_zero(places);
    const int row = kernels_.row_of_place[place];
    if ((wanted >> row & 1) != 0) push(query, {group.first_row + row, ranks[place], 0});
  }
  share_limit(query);
}

void Scan::rescore(const Group& group, int64_t query, uint32_t rows) {
  const float* const vectors = rows_of(group, rows);
  for (; rows != 0; rows &= rows - 1) {
    if (pairs_.count == kPairs) rescore_pairs();
    const int row = std::countr_zero(rows);
    const int64_t i = pairs_.count++;
    pairs_.queries[i] = part_.query(query);
    pairs_.rows[i] = vectors + row * kChunkFloats;
    pairs_.side[i] = group.side[row];
    pairs_.query[i] = query;
    pairs_.row[i] = group.first_row + row;
  }
}

void Scan::rescore_pairs() {
  float ranks[kPairs];
  kernels_.pairs[metric_ - 1]({pairs_.queries, pairs_.rows, pairs_.side, pairs_.count, chunks_, ranks});
  for (int64_t i = 0; i < pairs_.count; ++i) {
    push(pairs_.query[i], {pairs_.row[i], ranks[i], 0});
    ++space_.states[static_cast<size_t>(pairs_.query[i])].rescored;
    share_limit(pairs_.query[i]);
  }
  pairs_.count = 0;
}

}  // namespace nearfield::cpu
