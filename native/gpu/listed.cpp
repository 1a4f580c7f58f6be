// SPDX-License-Identifier: Apache-2.0
#include "listed.hpp"

#include <algorithm>
#include <numeric>

#include "subset.hpp"

namespace nearfield::gpu {
namespace {

// Of hits and of masks that are on the host at once, unless one query has more.
constexpr int64_t kMostHits = 1 << 22;
constexpr int64_t kMaskBytes = 64 << 20;
// Rows of one rank are met in clusters of duplicates: few searches find out how many there are, and the last
// one looks for four times as many at most.
constexpr int64_t kMoreTimes = 4;

// Calls `search` for all queries of the list, `at_once` of them a time.
Status in_pieces(const SearchPlan& plan, const std::vector<int64_t>& queries, int64_t at_once,
                 const PlanSearch& search) {
  for (size_t begin = 0; begin < queries.size();) {
    const size_t end = std::min(queries.size(), begin + static_cast<size_t>(at_once));
    NF_TRY(search_subset(
        plan,
        {queries.begin() + static_cast<ptrdiff_t>(begin), queries.begin() + static_cast<ptrdiff_t>(end)},
        search));
    begin = end;
  }
  return {};
}

// With `wanted` hits of each query, at least k.
Status numbered(const SearchPlan& plan, int64_t wanted, int64_t rows, const PlanSearch& search) {
  const auto k = static_cast<size_t>(plan.k), have = static_cast<size_t>(wanted);
  std::vector<Hit> found(static_cast<size_t>(plan.batch) * have);
  SearchPlan by_place = plan;
  by_place.number_of_place = by_place.place_of_number = nullptr;
  by_place.k = static_cast<int32_t>(wanted);
  by_place.hits = found.data();
  NF_TRY(search(by_place));
  std::vector<int64_t> tied;
  for (int64_t q = 0; q < plan.batch; ++q) {
    Hit* const first = found.data() + static_cast<size_t>(q) * have;
    Hit* const end = std::find_if(first, first + have, [](const Hit& hit) { return hit.row == kNoRow; });
    if (wanted < rows && end == first + have && end[-1].rank == first[k - 1].rank) {
      tied.push_back(q);
      continue;
    }
    for (Hit* hit = first; hit != end; ++hit) hit->row = plan.number_of_place[hit->row];
    std::sort(first, end, better);
    std::copy_n(first, k, plan.hits + static_cast<size_t>(q) * k);
  }
  if (tied.empty()) return {};
  found = {};
  const int64_t more = std::min(kMoreTimes * wanted, rows);
  return in_pieces(plan, tied, std::max<int64_t>(1, kMostHits / more),
                   [&](const SearchPlan& some) { return numbered(some, more, rows, search); });
}

}  // namespace

Status search_numbered(const SearchPlan& plan, int64_t rows, const PlanSearch& search) {
  if (plan.number_of_place == nullptr) return search(plan);
  // One row more tells whether there are others of the k-th rank.
  return numbered(plan, std::min(int64_t{plan.k} + 1, rows), rows, search);
}

Status search_masked(const SearchPlan& plan, int64_t rows, const PlanSearch& search) {
  if (plan.run_offsets == nullptr) return search(plan);
  const auto words = static_cast<size_t>(groups_of(rows));
  std::vector<int64_t> all(static_cast<size_t>(plan.batch));
  std::iota(all.begin(), all.end(), 0);
  const auto mask_bytes = static_cast<int64_t>(words * sizeof(uint32_t));
  return in_pieces(plan, all, std::max<int64_t>(1, kMaskBytes / mask_bytes), [&](const SearchPlan& some) {
    std::vector<uint32_t> bits(static_cast<size_t>(some.batch) * words);
    std::vector<const uint32_t*> masks;
    for (int64_t q = 0; q < some.batch; ++q) {
      uint32_t* const to = bits.data() + static_cast<size_t>(q) * words;
      const uint32_t* const own = some.mask_of_query != nullptr ? some.mask_of_query[q] : nullptr;
      for (int64_t r = some.run_offsets[q]; r < some.run_offsets[q + 1]; ++r) {
        const GroupRun& run = some.runs[r];
        if (own != nullptr)
          std::copy_n(own + run.first, run.count, to + run.first);
        else
          std::fill_n(to + run.first, run.count, ~0u);
      }
      masks.push_back(to);
    }
    SearchPlan masked = some;
    masked.mask_of_query = masks.data();
    masked.run_offsets = nullptr;
    masked.runs = nullptr;
    return search(masked);
  });
}

}  // namespace nearfield::gpu
