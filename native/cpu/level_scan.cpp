// SPDX-License-Identifier: Apache-2.0
// Few queries by codes: level by level, and from f32 what is left.
#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "scan.hpp"

namespace nearfield::cpu {

namespace {
// Rows of a sample by one worker, or 20 k: their k-th rank is the first limit. 512 leave 30% more to rescore;
// 2,048 cost more than they save (1M x 128 on two threads).
constexpr int64_t kSampleRows = 1024;
// Where rows must be decoded for it, by all workers together.
constexpr int64_t kDecodedSampleRows = 512;
// Where filters or removals leave few rows of a group, so many times the groups are looked at.
constexpr int64_t kSampleTries = 8;

// Multiples of it modulo `groups` visit every group once, and any run of them is spread evenly.
int64_t stride_over(int64_t groups) {
  auto stride = static_cast<int64_t>(0.6180339887498949 * static_cast<double>(groups));
  while (std::gcd(stride, groups) != 1) ++stride;
  return stride;
}
}  // namespace

Status Scan::sample_limits(int32_t worker) {
  if (part_.capped()) return {};  // cutoffs are no ranks
  const auto& slabs = part_.store.slabs();
  const int64_t groups = groups_of(part_.store.rows());
  const int64_t least = part_.store.has_rows() ? kSampleRows : kDecodedSampleRows / part_.workers;
  const int64_t rows = std::max(least, 20 * int64_t{part_.plan.k});
  // A group that came twice would count its rows twice.
  const int64_t tries = std::min(kSampleTries * groups_of(rows), groups / part_.workers);
  const int64_t stride = stride_over(groups);
  int64_t seen =
      0;  // by the query that has seen fewest, if each saw as many of a group as the one that saw fewest
  for (int64_t i = 0; i < tries && seen < rows; ++i) {
    const int64_t at = (i * part_.workers + worker) * stride % groups;
    size_t slab = 0;
    while (at >= (slabs[slab].first / kGroupRows) + slabs[slab].groups) ++slab;
    const Group group = group_of(slabs[slab], at - slabs[slab].first / kGroupRows);
    if (group.live == 0) continue;
    NF_TRY(direct(group, 0, part_.queries));
    int64_t least = std::popcount(group.live);
    if (part_.plan.mask_of_query != nullptr)
      for (int64_t q = 0; q < part_.queries; ++q) {
        const uint32_t* mask = part_.plan.mask_of_query[part_.first + q];
        if (mask != nullptr) least = std::min<int64_t>(least, std::popcount(group.live & mask[group.word]));
      }
    seen += least;
  }
  // The rows are met again; their limits stay.
  for (int64_t i = 0; i < part_.queries; ++i) space_.states[static_cast<size_t>(i)].queue.reset(part_.plan.k);
  return {};
}

Status Scan::levels(const Block& block) {
  for (int64_t done = 0; done < block.groups; done += kRunGroups) {
    if (part_.state.pool->stopping()) return {};
    begin(0, part_.queries);
    const int64_t groups = std::min(kRunGroups, block.groups - done);
    for (int64_t query = 0; query < part_.queries; ++query)
      NF_TRY(levels_of_query(*block.slab, block.first_group + done, groups, query));
  }
  return {};
}

Status Scan::levels_of_query(const Slab& slab, int64_t first_group, int64_t groups, int64_t query) {
  const auto i = static_cast<size_t>(query);
  const uint32_t* mask =
      part_.plan.mask_of_query == nullptr ? nullptr : part_.plan.mask_of_query[part_.first + query];
  const int64_t first_word = slab.first / kGroupRows + first_group;
  uint32_t wanted[kRunGroups];
  uint32_t any = 0;
  int64_t visited = 0;
  for (int64_t g = 0; g < groups; ++g) {
    wanted[g] = slab.live[first_group + g] & (mask == nullptr ? ~0u : mask[first_word + g]);
    any |= wanted[g];
    visited += wanted[g] != 0 ? 1 : 0;
  }
  NF_TRY(poll(visited * chunks_ * kChunkStride / 4 + 1));
  if (any == 0) return {};
  const auto index = static_cast<int32_t>(query);
  if (space_.pauses[i] > 0) {
    --space_.pauses[i];
    for (int64_t g = 0; g < groups; ++g)
      if (wanted[g] != 0) direct_call(group_of(slab, first_group + g), &index, &wanted[g], 1, groups > 1);
    return {};
  }

  const size_t b = basis_of(slab);
  LevelTile tile;
  uint32_t kept[kRunGroups];
  float values[kRunGroups * kGroupRows];
  tile.shape = &coded_[b].basis().shape();
  tile.first = slab.codes.group(first_group);
  tile.groups = groups;
  tile.wanted = wanted;
  coded_[b].put(query, &tile);
  tile.dot = metric_ == NF_DOT;
  tile.test = space_.tests[b][i];
  tile.kept = kept;
  if (part_.capped()) tile.values = values;
  tile.expected = space_.expected[i];
  part_.state.codes->levels(tile);
  space_.expected[i] = tile.expected;
  const CodeLayout& layout = slab.codes.layout;
  // A tail is read with each level but the last; it is counted with all.
  scanned_.read += static_cast<uint64_t>(visited * layout.side_bytes() +
                                         tile.levels_read * (layout.level_bytes() + kGroupRows));
  scanned_.whole += static_cast<uint64_t>(
      visited * (layout.side_bytes() + layout.levels() * (layout.level_bytes() + kGroupRows)));
  if (part_.capped()) {
    keep_bounds(slab, first_group, tile, query);
    return {};
  }
  int32_t survivors = 0;
  for (int64_t g = 0; g < groups; ++g) {
    if (kept[g] == 0) continue;
    const int32_t count = std::popcount(kept[g]);
    const Group group = group_of(slab, first_group + g);
    if (count <= kScatteredRescore) {
      rescore(group, query, kept[g]);
    } else {
      space_.states[i].rescored += count;
      direct_call(group, &index, &wanted[g], 1, false);
    }
    survivors += count;
  }
  if (pairs_.count != 0) rescore_pairs();
  // To decode all rows is never the shorter way.
  if (survivors >= kHopelessRows && part_.store.has_rows()) space_.pauses[i] = kPausedRuns;
  return {};
}

void Scan::keep_bounds(const Slab& slab, int64_t first_group, const LevelTile& tile, int64_t query) {
  const size_t b = basis_of(slab);
  const CodedQuery& coded = coded_[b].query(query);
  const CodeShape& shape = *tile.shape;
  for (int64_t g = 0; g < tile.groups; ++g) {
    const uint16_t* sides = slab.codes.group(first_group + g).sides;
    for (uint32_t rows = tile.kept[g]; rows != 0; rows &= rows - 1) {
      const int row = std::countr_zero(rows);
      const float scale = std::bit_cast<float>(static_cast<uint32_t>(sides[row]) << 16);
      CodeBound::Row side{static_cast<float>(sides[kGroupRows + row]) * shape.norm_unit * scale,
                          static_cast<float>(sides[2 * kGroupRows + row]) * shape.error_unit * scale, 1};
      if (shape.has_beta) side.beta = static_cast<float>(sides[3 * kGroupRows + row]) * kBetaUnit;
      float bound = std::numeric_limits<float>::lowest();
      if (sides[2 * kGroupRows + row] != kAlwaysKeep)
        bound = coded_[b].basis().bound().lower_bound(coded, tile.values[g * kGroupRows + row], side);
      push(query, {slab.first + (first_group + g) * kGroupRows + row, bound, 0});
    }
  }
  share_limit(query);
}

}  // namespace nearfield::cpu
