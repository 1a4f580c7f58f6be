// SPDX-License-Identifier: Apache-2.0
// Exact search of a few queries by int8 codes: a sample of the rows gives the first limits, `levels` leaves
// out what its bounds prove to be beyond them, `rescore` decides in the canonical form and tightens the
// limits from window to window. Queries whose candidates find no room are searched again by the rows.
#include "coded.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "cut_short.hpp"
#include "metric.hpp"

namespace nearfield::gpu {
namespace {

// A filter that allows fewer rows than this many for each of the k leaves nothing to leave out.
constexpr int64_t kLeastAllowed = 512;
// Candidates that a query has room for.
uint32_t capacity_for(const Scan& scan, const FlatShape& shape) {
  const uint64_t most = most_candidates(scan, shape.list_capacity);
  const auto k = static_cast<uint64_t>(scan.plan().k);
  const uint64_t wanted = forces_codes(scan.context().path()) ? std::max<uint64_t>(2 * k, 128)
                                                              : std::clamp<uint64_t>(256 * k, 8192, 32768);
  return std::bit_floor(static_cast<uint32_t>(std::min(most, wanted)));
}

WorkSizes sizes_for(const Scan& scan, const QueryCodes& codes, int64_t first, int64_t count,
                    uint32_t query_block, uint32_t capacity) {
  WorkSizes sizes{};
  scan.add_sizes(first, count, query_block, &sizes);
  const auto n = static_cast<uint64_t>(count), k = static_cast<uint64_t>(scan.plan().k);
  sizes[kCoded] = codes.bytes(count);
  sizes[kParts] =
      std::max(n * capacity * sizeof(uint32_t), sample_parts(n, scan.plan().k) * n * k * sizeof(Entry));
  sizes[kCounts] = (2 * n + 1) * sizeof(uint32_t);
  sizes[kLimits] = n * sizeof(uint32_t);
  sizes[kBest] = n * k * sizeof(Entry);
  sizes[kReadback] = sizes[kBest] + (n + 1) * sizeof(uint32_t);
  return sizes;
}

// One pass: all rows for the queries [first, first + count), which fit the workspace.
Status pass(Scan* scan, QueryCodes* codes, int64_t first, int64_t count, const FlatShape& shape,
            uint32_t capacity, std::vector<uint8_t>* back) {
  Context& context = scan->context();
  Queue& queue = context.queue();
  const uint32_t block = levels_block(count), padding = std::max(block, shape.query_block);
  const WorkSizes sizes = sizes_for(*scan, *codes, first, count, padding, capacity);
  NF_TRY(context.reserve(sizes, "search"));
  NF_TRY(scan->load(first, count, padding, shape.workgroups,
                    static_cast<uint32_t>(codes->most_levels()) + kLevelsLoops));
  codes->code(first, count, false);
  codes->send();
  const auto n = static_cast<size_t>(count);
  const std::vector<uint32_t> no_limits(n, kEmpty), zeros(2 * n + 1, 0);
  queue.write(context.work(kLimits), 0, no_limits.data(), n * sizeof(uint32_t));
  queue.write(context.work(kCounts), 0, zeros.data(), zeros.size() * sizeof(uint32_t));
  int64_t seen = 0;
  NF_TRY(seed_limits(scan, shape, count, coded_sample_rows(*scan),
                     sample_parts(static_cast<uint64_t>(count), scan->plan().k), &seen));
  scan->take_blocks_of(block, shape.workgroups);

  MatrixParams p{};
  p.chunks = scan->chunks();
  p.batch = p.workgroups = static_cast<uint32_t>(count);
  p.k = static_cast<uint32_t>(scan->plan().k);
  p.capacity = capacity;
  p.first = 1;
  p.slab_rows = kEmpty;
  std::vector<Scan::Range> ranges;
  // Without limits every row is a candidate.
  int64_t window = std::max<int64_t>(capacity, coded_window_rows(seen, capacity, scan->plan().k));
  int64_t scanned = 0;
  while (!scan->done()) {
    NF_TRY(scan->call().poll());
    const double units =
        scan->next(kEmpty, std::max<int64_t>(1, window / kGroupRows), &ranges, Scan::Reads::kCodes);
    for (const Scan::Range& range : ranges) {
      Scan::Rows rows;
      NF_TRY(scan->rows_of(range, &rows));
      p.first_row = rows.first_row;
      NF_TRY(codes->dispatch(range, block, capacity));
      NF_TRY(context.dispatch(kRescore, {scan->metric(), 1, shape.list_capacity}, p,
                              context.grid(p.workgroups),
                              {rows.vectors, rows.side, &context.work(kQueries), &context.work(kParts),
                               &context.work(kCounts), &context.work(kBest), &context.work(kLimits)}));
      p.first = 0;
      scanned += int64_t{range.group_end - range.group_begin} * kGroupRows;
    }
    window = std::max(window, coded_window_rows(std::max(seen, scanned), capacity, scan->plan().k));
    NF_TRY(queue.submit(units * kCodeUnits, "search"));
  }
  const uint64_t best = sizes[kBest], sums = (n + 1) * sizeof(uint32_t);
  queue.copy(context.work(kBest), 0, context.work(kReadback), 0, best);
  queue.copy(context.work(kCounts), n * sizeof(uint32_t), context.work(kReadback), best, sums);
  NF_TRY(queue.submit(0, "search"));
  back->resize(best + sums);
  return queue.read(context.work(kReadback), back->size(), back->data(), "search");
}

// All queries of the plan, none of which is too long for the bound.
Status passes(Scan* scan, Hit* hits, int32_t* rescored, ScanCount* scanned) {
  if (!scan->has_rows()) return alone_search(scan, hits, rescored, scanned);
  if (const CodedProductShape shape = coded_product_shape(*scan); shape.query_tile != 0)
    return coded_product_search(scan, shape, hits, rescored, scanned);
  const SearchPlan& plan = scan->plan();
  const auto k = static_cast<size_t>(plan.k);
  std::vector<uint8_t> back;
  std::vector<int64_t> cut_short;
  for (int64_t first = 0, count; first < plan.batch; first += count) {
    count = std::min(plan.batch - first, kPassQueries);
    QueryCodes codes(*scan);
    FlatShape shape;
    uint32_t capacity = 0;
    const auto fits = [&] {
      shape = scan->context().flat_shape(count, plan.k);
      return scan->fits(
          sizes_for(*scan, codes, first, count, std::max(levels_block(count), shape.query_block), capacity));
    };
    shape = scan->context().flat_shape(count, plan.k);
    capacity = capacity_for(*scan, shape);
    while (count > 1 && !fits()) count = (count + 1) / 2;
    while (capacity > kGroupRows && !fits()) capacity /= 2;
    NF_TRY(pass(scan, &codes, first, count, shape, capacity, &back));
    const auto n = static_cast<size_t>(count);
    put_hits({reinterpret_cast<const Entry*>(back.data()), n * k}, hits + static_cast<size_t>(first) * k);
    const auto* sums = reinterpret_cast<const uint32_t*>(back.data() + n * k * sizeof(Entry));
    read_sums(sums, first, count, rescored, &cut_short);
    scanned->read += codes.read(sums[n]);
    scanned->whole += codes.whole();
  }
  return search_others(scan, cut_short, hits, rescored, rows_search);
}

}  // namespace

bool codes_pay(const Scan& scan) {
  const SearchPlan& plan = scan.plan();
  const Context& context = scan.context();
  const Path path = context.path();
  if (!scan.is_coded() || scan.rows() == 0 || plan.k > context.limits().most_list_k) return false;
  if (path == Path::kDirect || path == Path::kMatrix) return false;
  if (coded_product_shape(scan).query_tile != 0) return true;
  const auto bytes = static_cast<uint64_t>(scan.rows()) * scan.row_bytes();
  const bool is_worth = scan.has_rows()
                            ? plan.batch <= kPassQueries && plan.k <= context.limits().most_coded_k &&
                                  bytes >= context.limits().least_coded_bytes &&
                                  scan.rows() >= 4 * coded_sample_rows(scan)
                            : alone_pays(scan);
  if (path != Path::kCodes && !(forces_codes(path) && plan.batch <= kPassQueries) && !is_worth) return false;
  if (!scan.has_rows()) return alone_fits(scan);
  const FlatShape shape = context.flat_shape(1, plan.k);
  return scan.fits(sizes_for(scan, QueryCodes(scan), 0, 1, shape.query_block, kGroupRows));
}

Status coded_search(Scan* scan, Hit* hits, int32_t* rescored, ScanCount* scanned) {
  SearchPlan found = scan->plan();  // its outputs are the caller's
  found.hits = hits;
  found.rescored = rescored;
  std::vector<int64_t> by_codes, by_rows;
  int64_t long_queries = 0;
  for (int64_t q = 0; q < found.batch; ++q) {
    // Of codes alone only what is allowed is decoded.
    const bool too_few = scan->has_rows() && scan->mask(q) != nullptr &&
                         scan->candidates(q) < kLeastAllowed + kSampleTimes * int64_t{found.k} &&
                         !forces_codes(scan->context().path());
    const bool is_long = too_long(*scan, q);
    long_queries += is_long;
    (too_few || is_long ? by_rows : by_codes).push_back(q);
  }
  count_too_long(*scan, long_queries, scanned);
  if (by_rows.empty()) return passes(scan, hits, rescored, scanned);
  NF_TRY(search_others(scan, by_rows, hits, rescored, rows_search));
  if (by_codes.empty()) return {};
  return search_subset(found, by_codes, [&](const SearchPlan& some) {
    Scan codes(scan->store(), some, scan->call());
    return passes(&codes, some.hits, some.rescored, scanned);
  });
}

}  // namespace nearfield::gpu
