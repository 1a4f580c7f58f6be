// SPDX-License-Identifier: Apache-2.0
// Ranks of chosen rows: a gather over (query, row) pairs, sorted by slab.
#include <algorithm>

#include "scan.hpp"

namespace nearfield::gpu {
namespace {

constexpr int64_t kMostPairs = 1 << 18;  // of one window: 2 MiB up, 1 MiB back
constexpr uint64_t kQueryBytes = 16ull << 20;
// A gather reads 16 bytes of each cache line it touches: dispatches are made this much smaller than a scan's.
constexpr double kGatherCost = 4;
constexpr uint64_t kDecodedBytes = 16ull << 20;

}  // namespace

Status GpuStore::score(const ScorePlan& plan, const Call& call) {
  Queue& queue = context_->queue();
  const Drain drain(queue);
  const int64_t total = plan.offsets[plan.batch] - plan.offsets[0];
  if (total == 0) return {};
  const uint32_t lanes = context_->limits().lanes;
  // A share of the workspace for pairs, which take their keys on the device and on the way back along;
  // decoded rows and their basis take as much each.
  const uint64_t share = context_->free_workspace() / (has_rows() ? 2 : 4);
  const uint64_t binding = context_->binding_limit();
  // A row is decoded once for all of its queries.
  const int64_t most_rows =
      has_rows() ? kMostPairs : std::min(kMostPairs, kGroupRows * decoded_groups(kDecodedBytes));
  const auto most_pairs = static_cast<int64_t>(
      std::clamp<uint64_t>(std::min(binding / sizeof(Pair), share / (sizeof(Pair) + 2 * sizeof(uint32_t))), 1,
                           static_cast<uint64_t>(std::min(most_rows, total))));
  const auto most_queries = static_cast<int64_t>(std::clamp<uint64_t>(
      std::min({kQueryBytes, share, binding}) / row_bytes(), 1, static_cast<uint64_t>(plan.batch)));
  WorkSizes sizes{};
  if (!has_rows()) {
    add_decoding_sizes(groups_of(most_pairs), &sizes);
    sizes[kGroups] = static_cast<uint64_t>(most_pairs) * sizeof(uint32_t);
  }
  sizes[kQueries] = static_cast<uint64_t>(most_queries) * row_bytes();
  sizes[kMoves] = static_cast<uint64_t>(most_pairs) * sizeof(Pair);
  sizes[kParts] = sizes[kReadback] = static_cast<uint64_t>(most_pairs) * sizeof(uint32_t);
  NF_TRY(context_->reserve(sizes, "score"));

  struct Located {
    int64_t slab, at;  // at: index into plan.rows
    Pair pair;
  };
  std::vector<float> ranks(static_cast<size_t>(total));
  std::vector<Located> located;
  std::vector<Pair> pairs;
  std::vector<uint32_t> keys;
  std::vector<SlabMap::Place> decoded;
  int64_t query = 0;
  for (int64_t at = plan.offsets[0]; at < plan.offsets[plan.batch];) {
    while (plan.offsets[query + 1] <= at) ++query;
    const int64_t first_query = query;
    located.clear();
    for (; at < plan.offsets[plan.batch] && static_cast<int64_t>(located.size()) < most_pairs; ++at) {
      while (plan.offsets[query + 1] <= at) ++query;
      if (query - first_query >= most_queries) break;
      const SlabMap::Place place = slabs_.place(plan.rows[at]);
      located.push_back(
          {place.slab, at, {static_cast<uint32_t>(query - first_query), static_cast<uint32_t>(place.row)}});
    }
    const int64_t last_query = std::min(query, first_query + most_queries - 1);
    std::stable_sort(located.begin(), located.end(), [](const Located& a, const Located& b) {
      return a.slab < b.slab || (a.slab == b.slab && a.pair.row < b.pair.row);
    });
    decoded.clear();
    for (size_t i = 0; i < located.size() && !has_rows(); ++i) {
      const SlabMap::Place place{located[i].slab, located[i].pair.row};
      if (decoded.empty() || decoded.back().slab != place.slab || decoded.back().row != place.row)
        decoded.push_back(place);
      // All of them are in one place then.
      located[i].pair.row = static_cast<uint32_t>(decoded.size() - 1);
    }
    if (!has_rows())
      for (Located& pair : located) pair.slab = 0;
    pairs.resize(located.size());
    for (size_t i = 0; i < located.size(); ++i) pairs[i] = located[i].pair;
    for (int64_t q = first_query; q <= last_query; ++q)
      queue.write(context_->work(kQueries), static_cast<uint64_t>(q - first_query) * row_bytes(),
                  plan.queries + q * plan.query_stride, row_bytes());
    queue.write(context_->work(kMoves), 0, pairs.data(), pairs.size() * sizeof(Pair));

    if (!has_rows()) {
      NF_TRY(decode_rows(decoded, "score"));
      NF_TRY(queue.submit(0, "score"));
    }
    uint32_t dispatches = 0;
    double units = 0;
    const double per_pair = kGatherCost * chunks();
    for (size_t begin = 0, end; begin < located.size(); begin = end) {
      NF_TRY(call.poll());
      const int64_t slab = located[begin].slab;
      const auto most =
          static_cast<size_t>(std::max<double>(lanes, (context_->units_per_dispatch() - units) / per_pair));
      for (end = begin; end < located.size() && located[end].slab == slab && end - begin < most;) ++end;
      const Buffer& vectors = has_rows() ? slabs_[slab].vectors : context_->work(kDecoded);
      const Buffer& side = !has_side()  ? context_->work(kUnused)
                           : has_rows() ? slabs_[slab].side
                                        : context_->work(kDecodedSide);
      ScoreParams p{};
      p.chunks = chunks();
      p.pair_begin = static_cast<uint32_t>(begin);
      p.pair_end = static_cast<uint32_t>(end);
      NF_TRY(context_->dispatch(
          kScore, {options_.metric, 1, 1}, p, context_->grid((end - begin + lanes - 1) / lanes),
          {&vectors, &side, &context_->work(kQueries), &context_->work(kMoves), &context_->work(kParts)}));
      units += static_cast<double>(end - begin) * per_pair;
      if (++dispatches == context_->limits().dispatches || units >= context_->units_per_dispatch()) {
        NF_TRY(queue.submit(units, "score"));
        units = 0;
        dispatches = 0;
      }
    }
    const uint64_t bytes = located.size() * sizeof(uint32_t);
    queue.copy(context_->work(kParts), 0, context_->work(kReadback), 0, bytes);
    NF_TRY(queue.submit(units, "score"));
    keys.resize(located.size());
    NF_TRY(queue.read(context_->work(kReadback), bytes, keys.data(), "score"));
    for (size_t i = 0; i < located.size(); ++i)
      ranks[static_cast<size_t>(located[i].at - plan.offsets[0])] = rank_of_key(keys[i]);
  }
  std::copy(ranks.begin(), ranks.end(), plan.ranks + plan.offsets[0]);
  if (plan.errors != nullptr && !has_rows())
    for (int64_t at = plan.offsets[0]; at < plan.offsets[plan.batch]; ++at)
      plan.errors[at] = errors_[static_cast<size_t>(plan.rows[at])];
  return {};
}

}  // namespace nearfield::gpu
