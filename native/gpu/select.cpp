// SPDX-License-Identifier: Apache-2.0
// Exact search for large k, up to all rows: radix selection of the k-th (key, row) over recomputed scans,
// then everything not beyond it is collected and sorted on the host. No score is stored.
#include <algorithm>

#include "scan.hpp"

namespace nearfield::gpu {
namespace {

// Positions of the digits of 11 bits in a word, most significant first. The last two overlap by a bit, which
// is fixed already when the last digit is counted.
constexpr uint32_t kShifts[] = {21, 10, 0};

constexpr uint32_t kBins = NEARFIELD_BINS;

struct Progress {
  int64_t need = 0;  // the wanted entry is the need-th of those that match the digits fixed so far
  bool done = false;
  uint32_t bound_key = kEmpty - 1, bound_row = kEmpty;  // inclusive
  Digits fixed{};
};

WorkSizes sizes_for(const Scan& scan, int64_t first, int64_t count, int64_t capacity) {
  WorkSizes sizes{};
  scan.add_sizes(first, count, 1, &sizes);
  const auto n = static_cast<uint64_t>(count);
  sizes[kLimits] = n * sizeof(Digits);
  sizes[kBest] = n * kBins * sizeof(uint32_t);
  sizes[kParts] = n * static_cast<uint64_t>(capacity) * sizeof(Entry);
  sizes[kReadback] = std::max(sizes[kBest], sizes[kParts] + n * sizeof(uint32_t));
  return sizes;
}

// Encodes and submits scans of `kernel` over at most `max_groups` groups from where the scan stands.
Status run(Scan* scan, const Kernel& kernel, uint32_t capacity, uint32_t stage, uint32_t shift,
           int64_t max_groups) {
  Context& context = scan->context();
  std::vector<Scan::Range> ranges;
  while (!scan->done() && max_groups > 0) {
    NF_TRY(scan->call().poll());
    const double units = scan->next(kEmpty, max_groups, &ranges);
    for (const Scan::Range& range : ranges) {
      max_groups -= range.group_end - range.group_begin;
      Scan::Rows rows;
      NF_TRY(scan->rows_of(range, &rows));
      ScanParams p = scan->params(range, rows);
      p.k = capacity;
      p.digit_stage = stage;
      p.digit_shift = shift;
      NF_TRY(context.dispatch(kernel, {scan->metric(), 1, 1}, p, scan->grid(range),
                              {rows.vectors, rows.side, rows.live, &context.work(kQueries), &scan->masks(),
                               &context.work(kLimits), &context.work(kBest),
                               capacity == 0 ? &context.work(kUnusedWrite) : &context.work(kParts)}));
    }
    NF_TRY(context.queue().submit(units, "search"));
  }
  return {};
}

// Fixes one digit of every query that is not done.
Status fix_digit(Scan* scan, uint32_t stage, uint32_t shift, std::vector<Progress>* queries) {
  Context& context = scan->context();
  const size_t n = queries->size();
  std::vector<Digits> digits(n);
  // A query that is done matches nothing: no key has a bit set under the empty mask.
  for (size_t q = 0; q < n; ++q) digits[q] = (*queries)[q].done ? Digits{1, 0, 0, 0} : (*queries)[q].fixed;
  std::vector<uint32_t> bins(n * kBins, 0);
  context.queue().write(context.work(kLimits), 0, digits.data(), n * sizeof(Digits));
  context.queue().write(context.work(kBest), 0, bins.data(), bins.size() * sizeof(uint32_t));
  scan->rewind();
  NF_TRY(run(scan, kHistogram, 0, stage, shift, kMaxRows));
  context.queue().copy(context.work(kBest), 0, context.work(kReadback), 0, bins.size() * sizeof(uint32_t));
  NF_TRY(context.queue().submit(0, "search"));
  NF_TRY(
      context.queue().read(context.work(kReadback), bins.size() * sizeof(uint32_t), bins.data(), "search"));
  for (size_t q = 0; q < n; ++q) {
    Progress& p = (*queries)[q];
    if (p.done) continue;
    const uint32_t* counts = bins.data() + q * kBins;
    uint32_t bin = 0;
    while (bin + 1 < kBins && p.need > counts[bin]) p.need -= counts[bin++];
    if (p.need > counts[bin])
      return error(NF_INTERNAL, "search: %u rows were counted where %lld were expected", counts[bin],
                   static_cast<long long>(p.need));
    uint32_t& word = stage == 0 ? p.fixed.key : p.fixed.row;
    uint32_t& mask = stage == 0 ? p.fixed.key_mask : p.fixed.row_mask;
    word |= bin << shift;
    mask |= (kBins - 1) << shift;
    if (p.need == counts[bin]) {  // all that match are wanted
      p.done = true;
      p.bound_key = p.fixed.key | ~p.fixed.key_mask;
      p.bound_row = p.fixed.row | ~p.fixed.row_mask;
    }
  }
  return {};
}

Status collect(Scan* scan, int64_t capacity, const std::vector<Progress>& queries,
               std::vector<std::vector<Entry>>* found) {
  Context& context = scan->context();
  const size_t n = queries.size();
  std::vector<Digits> bounds(n);
  for (size_t q = 0; q < n; ++q) bounds[q] = {queries[q].bound_key, queries[q].bound_row, 0, 0};
  context.queue().write(context.work(kLimits), 0, bounds.data(), n * sizeof(Digits));
  // When the k entries of a query do not fit the buffer, windows of rows that cannot fill it follow each
  // other.
  const int64_t window = capacity >= scan->plan().k ? kMaxRows : capacity / kGroupRows;
  const std::vector<uint32_t> zeros(n, 0);
  const uint64_t counts_bytes = n * sizeof(uint32_t);
  const uint64_t entries_bytes = n * static_cast<uint64_t>(capacity) * sizeof(Entry);
  std::vector<uint8_t> back(counts_bytes + entries_bytes);
  for (scan->rewind(); !scan->done();) {
    context.queue().write(context.work(kBest), 0, zeros.data(), counts_bytes);
    NF_TRY(run(scan, kCollect, static_cast<uint32_t>(capacity), 0, 0, window));
    context.queue().copy(context.work(kBest), 0, context.work(kReadback), 0, counts_bytes);
    context.queue().copy(context.work(kParts), 0, context.work(kReadback), counts_bytes, entries_bytes);
    NF_TRY(context.queue().submit(0, "search"));
    NF_TRY(context.queue().read(context.work(kReadback), back.size(), back.data(), "search"));
    const auto* counts = reinterpret_cast<const uint32_t*>(back.data());
    for (size_t q = 0; q < n; ++q) {
      if (counts[q] > static_cast<uint64_t>(capacity))
        return error(NF_INTERNAL, "search: %u rows were collected into room for %lld", counts[q],
                     static_cast<long long>(capacity));
      const auto* entries =
          reinterpret_cast<const Entry*>(back.data() + counts_bytes) + q * static_cast<size_t>(capacity);
      (*found)[q].insert((*found)[q].end(), entries, entries + counts[q]);
    }
  }
  return {};
}

}  // namespace

Status radix_search(Scan* scan, Hit* hits) {
  const SearchPlan& plan = scan->plan();
  const int64_t k = plan.k, tile_rows = scan->context().limits().tile_rows;
  for (int64_t first = 0, count; first < plan.batch; first += count) {
    count = std::min(plan.batch - first, scan->queries_per_dispatch());
    int64_t capacity = k;
    while (count > 1 && !scan->fits(sizes_for(*scan, first, count, capacity))) count = (count + 1) / 2;
    while (capacity > tile_rows && !scan->fits(sizes_for(*scan, first, count, capacity)))
      capacity = round_up(capacity / 2, tile_rows);
    NF_TRY(scan->context().reserve(sizes_for(*scan, first, count, capacity), "search"));
    NF_TRY(scan->load(first, count, 1, scan->context().limits().workgroups, 32));
    std::vector<Progress> queries(static_cast<size_t>(count));
    std::vector<int64_t> expected(queries.size());
    bool all_done = true;
    for (size_t q = 0; q < queries.size(); ++q) {
      const int64_t candidates = scan->candidates(first + static_cast<int64_t>(q));
      expected[q] = std::min(candidates, k);
      queries[q].need = k;
      queries[q].done = candidates <= k;  // all of them are wanted: the bound is beyond every row
      all_done = all_done && queries[q].done;
    }
    for (uint32_t stage = 0; stage < 2; ++stage)
      for (const uint32_t shift : kShifts) {
        if (all_done) break;
        NF_TRY(fix_digit(scan, stage, shift, &queries));
        all_done = std::all_of(queries.begin(), queries.end(), [](const Progress& p) { return p.done; });
      }
    if (!all_done) return error(NF_INTERNAL, "search: the radix selection found no bound for k=%d", plan.k);
    std::vector<std::vector<Entry>> found(queries.size());
    NF_TRY(collect(scan, capacity, queries, &found));
    for (size_t q = 0; q < queries.size(); ++q) {
      if (static_cast<int64_t>(found[q].size()) != expected[q])
        return error(NF_INTERNAL, "search: %lld rows were collected, %lld were expected",
                     static_cast<long long>(found[q].size()), static_cast<long long>(expected[q]));
      std::sort(found[q].begin(), found[q].end(), [](const Entry& a, const Entry& b) {
        return a.key != b.key ? a.key < b.key : a.row < b.row;
      });
      Hit* to = hits + (first + static_cast<int64_t>(q)) * k;
      for (const Entry& entry : found[q]) *to++ = {entry.row, rank_of_key(entry.key), 0};
    }
  }
  return {};
}

}  // namespace nearfield::gpu
