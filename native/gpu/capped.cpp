// SPDX-License-Identifier: Apache-2.0
// A capped search (SearchPlan::cap): of each query the rows of least (lower bound, row) are found by codes,
// then scored. `levels` writes the rows that no cutoff rules out with what their bounds are made of; the host
// keeps the least and lowers the cutoffs from window to window. A bound does not depend on the windows.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "listed.hpp"
#include "metric.hpp"
#include "query_codes.hpp"
#include "subset.hpp"

namespace nearfield::gpu {
namespace {

constexpr uint64_t kCandidateBytes = NEARFIELD_VALUE_WORDS * sizeof(uint32_t);

struct Bounded {
  float bound;
  int64_t row;  // its number
  bool operator<(const Bounded& other) const {
    return bound < other.bound || (bound == other.bound && row < other.row);
  }
};

// Candidates that a query has room for, in a window: some times the cap, so that few windows do.
uint32_t capacity_for(int64_t cap) {
  return std::bit_ceil(static_cast<uint32_t>(std::clamp<int64_t>(4 * cap, 2048, 16 * 1024)));
}

WorkSizes sizes_for(const Scan& scan, const QueryCodes& codes, int64_t first, int64_t count,
                    uint32_t capacity) {
  WorkSizes sizes{};
  scan.add_sizes(first, count, kLevelsQueries, &sizes);
  const auto n = static_cast<uint64_t>(count);
  sizes[kCoded] = codes.bytes(count);
  sizes[kParts] = n * capacity * kCandidateBytes;
  sizes[kCounts] = (2 * n + 1) * sizeof(uint32_t);
  sizes[kLimits] = n * sizeof(uint32_t);
  sizes[kReadback] = sizes[kParts] + sizes[kCounts];
  return sizes;
}

// What one pass is about.
struct Pass {
  Scan* scan;
  QueryCodes codes;
  int64_t first = 0, count = 0;
  uint32_t capacity = 0;
  std::vector<std::vector<Bounded>> least;  // per query: cap + 1 of them, as far as there are, and the last
                                            // is the largest
};

int64_t number_of(const Scan& scan, uint32_t place) {
  const uint32_t* const numbers = scan.plan().number_of_place;
  return numbers != nullptr ? numbers[place] : place;
}

// Keeps the cap + 1 least.
void trim(std::vector<Bounded>* found, int64_t most) {
  if (static_cast<int64_t>(found->size()) > most) {
    std::nth_element(found->begin(), found->begin() + (most - 1), found->end());
    found->resize(static_cast<size_t>(most));
  } else if (!found->empty()) {
    std::iter_swap(std::max_element(found->begin(), found->end()), found->end() - 1);
  }
}

Status find_least(Pass* pass, uint32_t* levels_seen) {
  Scan& scan = *pass->scan;
  Context& context = scan.context();
  Queue& queue = context.queue();
  const auto n = static_cast<size_t>(pass->count);
  const uint32_t block = pass->count > 1 ? kLevelsQueries : 1;
  const int64_t most = scan.plan().cap + 1;
  NF_TRY(scan.load(pass->first, pass->count, kLevelsQueries, context.flat_shape(pass->count, 1).workgroups,
                   static_cast<uint32_t>(pass->codes.most_levels()) + kLevelsLoops));
  scan.take_blocks_of(block, context.flat_shape(pass->count, 1).workgroups);
  pass->codes.code(pass->first, pass->count, true);
  pass->least.assign(n, {});
  const std::vector<uint32_t> empty(n, kEmpty), zeros(2 * n + 1, 0);
  queue.write(context.work(kLimits), 0, empty.data(), n * sizeof(uint32_t));
  const uint64_t entries = n * pass->capacity * kCandidateBytes, counts = zeros.size() * sizeof(uint32_t);
  std::vector<uint8_t> back(entries + counts);
  std::vector<Scan::Range> ranges;
  int64_t window = pass->capacity / kGroupRows;  // groups; so few always have room
  const int64_t least_window = window;
  while (!scan.done()) {
    NF_TRY(scan.call().poll());
    const Scan::Mark mark = scan.mark();
    pass->codes.send();
    queue.write(context.work(kCounts), 0, zeros.data(), counts);
    scan.next(kEmpty, window, &ranges, Scan::Reads::kCodes);
    for (const Scan::Range& range : ranges) NF_TRY(pass->codes.dispatch(range, block, pass->capacity));
    queue.copy(context.work(kParts), 0, context.work(kReadback), 0, entries);
    queue.copy(context.work(kCounts), 0, context.work(kReadback), entries, counts);
    NF_TRY(queue.submit(0, "search"));
    NF_TRY(queue.read(context.work(kReadback), back.size(), back.data(), "search"));
    const auto* counted = reinterpret_cast<const uint32_t*>(back.data() + entries);
    *levels_seen += counted[2 * n];
    const uint32_t fullest = *std::max_element(counted, counted + n);
    if (fullest > pass->capacity) {
      scan.go_back(mark);
      window = std::max(least_window, window / 2);
      continue;
    }
    for (size_t q = 0; q < n; ++q) {
      const auto* candidate =
          reinterpret_cast<const uint32_t*>(back.data()) + q * pass->capacity * NEARFIELD_VALUE_WORDS;
      std::vector<Bounded>& found = pass->least[q];
      for (uint32_t i = 0; i < counted[q]; ++i, candidate += NEARFIELD_VALUE_WORDS)
        found.push_back(
            {pass->codes.lower_bound(static_cast<int64_t>(q), candidate), number_of(scan, candidate[0])});
      trim(&found, most);
      if (static_cast<int64_t>(found.size()) == most)
        pass->codes.set_cutoff(static_cast<int64_t>(q), found.back().bound);
    }
    if (fullest < pass->capacity / 4) window = std::min(2 * window, kMaxRows);
  }
  return {};
}

// Scores the rows of the pass and puts the best.
Status put_best(const Pass& pass, Hit* hits, int32_t* rescored, uint8_t* certified) {
  const SearchPlan& plan = pass.scan->plan();
  std::vector<int64_t> offsets{0}, numbers;
  for (int64_t q = 0; q < pass.count; ++q) {
    std::vector<Bounded> sorted = pass.least[static_cast<size_t>(q)];
    std::sort(sorted.begin(), sorted.end());
    for (int64_t i = 0; i < std::min(plan.cap, static_cast<int64_t>(sorted.size())); ++i)
      numbers.push_back(sorted[static_cast<size_t>(i)].row);
    offsets.push_back(static_cast<int64_t>(numbers.size()));
  }
  std::vector<int64_t> rows = numbers;
  if (plan.place_of_number != nullptr)
    for (int64_t& row : rows) row = plan.place_of_number[row];
  std::vector<float> ranks(rows.size());
  ScorePlan score;
  score.queries = plan.queries + pass.first * plan.query_stride;
  score.query_stride = plan.query_stride;
  score.batch = pass.count;
  score.offsets = offsets.data();
  score.rows = rows.data();
  score.ranks = ranks.data();
  NF_TRY(pass.scan->store().score(score, pass.scan->call()));
  std::vector<Hit> scored;
  for (int64_t q = 0; q < pass.count; ++q) {
    scored.clear();
    for (int64_t i = offsets[static_cast<size_t>(q)]; i < offsets[static_cast<size_t>(q) + 1]; ++i)
      scored.push_back({numbers[static_cast<size_t>(i)], ranks[static_cast<size_t>(i)], 0});
    std::sort(scored.begin(), scored.end(), better);
    const int64_t query = pass.first + q;
    rescored[query] = static_cast<int32_t>(scored.size());
    scored.resize(std::min(scored.size(), static_cast<size_t>(plan.k)));
    std::copy(scored.begin(), scored.end(), hits + query * plan.k);
    // With more rows than the cap the k best are all there: it is at least k.
    const std::vector<Bounded>& least = pass.least[static_cast<size_t>(q)];
    certified[query] = static_cast<int64_t>(least.size()) <= plan.cap ||
                       pass.codes.excludes(q, least.back().bound, scored.back().rank);
  }
  return {};
}

// All queries of the plan, none of which is too long for the bound.
Status passes(Scan* scan, Hit* hits, int32_t* rescored, uint8_t* certified, ScanCount* scanned) {
  const SearchPlan& plan = scan->plan();
  for (int64_t first = 0, count; first < plan.batch; first += count) {
    count = std::min(plan.batch - first, kPassQueries);
    Pass pass{scan, QueryCodes(*scan), first, count, capacity_for(plan.cap), {}};
    const auto fits = [&] { return scan->fits(sizes_for(*scan, pass.codes, first, count, pass.capacity)); };
    while (count > 1 && !fits()) count = (count + 1) / 2;
    while (pass.capacity > kGroupRows && !fits()) pass.capacity /= 2;
    pass.count = count;
    NF_TRY(scan->context().reserve(sizes_for(*scan, pass.codes, first, count, pass.capacity), "search"));
    uint32_t levels_seen = 0;
    NF_TRY(find_least(&pass, &levels_seen));
    NF_TRY(put_best(pass, hits, rescored, certified));
    scanned->read += pass.codes.read(levels_seen);
    scanned->whole += pass.codes.whole();
  }
  return {};
}

}  // namespace

Status capped_search(Scan* scan, Hit* hits, int32_t* rescored, uint8_t* certified, ScanCount* scanned) {
  SearchPlan found = scan->plan();  // its outputs are the caller's
  found.hits = hits;
  found.rescored = rescored;
  std::vector<int64_t> by_codes, by_rows;
  for (int64_t q = 0; q < found.batch; ++q) (too_long(*scan, q) ? by_rows : by_codes).push_back(q);
  count_too_long(*scan, static_cast<int64_t>(by_rows.size()), scanned);
  if (by_rows.empty()) return passes(scan, hits, rescored, certified, scanned);
  NF_TRY(search_subset(found, by_rows, [&](const SearchPlan& some) {
    return search_numbered(some, scan->rows(), [&](const SearchPlan& by_place) {
      Scan rows(scan->store(), by_place, scan->call());
      return rows_search(&rows, by_place.hits);
    });
  }));
  if (by_codes.empty()) return {};
  std::vector<uint8_t> flags(by_codes.size(), 1);
  NF_TRY(search_subset(found, by_codes, [&](const SearchPlan& some) {
    Scan codes(scan->store(), some, scan->call());
    return passes(&codes, some.hits, some.rescored, flags.data(), scanned);
  }));
  for (size_t i = 0; i < by_codes.size(); ++i) certified[by_codes[i]] = flags[i];
  return {};
}

}  // namespace nearfield::gpu
