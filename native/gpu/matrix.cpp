// SPDX-License-Identifier: Apache-2.0
// Exact search of many queries by the matrix form: products propose candidates under a certificate
// (bounds.hpp), the canonical form decides. A sample gives the first limits (seed.cpp); then rows come in
// windows, larger ones as the limits tighten, so that a query's candidates fit the room it has. Queries whose
// candidates do not (rows sorted by distance, thousands of duplicates) are searched again by the direct form.
#include <algorithm>
#include <bit>

#include "bounds.hpp"
#include "cut_short.hpp"
#include "metric.hpp"
#include "scan.hpp"

namespace nearfield::gpu {
namespace {

// Candidates that a query has room for: at most 64 KiB of them. Tests, which force the path, have small
// stores and less room, so that windows grow and candidates find none.
uint32_t capacity_for(int32_t k, bool forced) {
  return std::bit_ceil(
      static_cast<uint32_t>(forced ? std::max(2 * k, 64) : std::clamp(32 * k, 1024, 16 * 1024)));
}
// Rows of the next window: with limits from `seen` of them, r rows leave about k r / seen candidates,
// negative binomially distributed; this many exceed the room of one query in a million for k = 1, fewer for
// larger k.
int64_t window_rows(int64_t seen, uint32_t capacity, int32_t k) {
  return seen * static_cast<int64_t>(capacity) / (4 * int64_t{k} + 12);
}
WorkSizes sizes_for(const Scan& scan, int64_t first, int64_t count, const MatrixShape& shape,
                    uint32_t capacity) {
  WorkSizes sizes{};
  scan.add_sizes(first, count, shape.query_tile, &sizes);
  const auto n = static_cast<uint64_t>(count);
  const auto padded = static_cast<uint64_t>(round_up(count, shape.query_tile));
  sizes[kTileQueries] =
      sizes[kQueries] / padded * static_cast<uint64_t>(round_up(static_cast<int64_t>(padded), kGroupRows));
  sizes[kMoves] = padded * sizeof(Move);
  sizes[kBounds] = n * sizeof(Bound);
  const auto k = static_cast<uint64_t>(scan.plan().k);
  sizes[kParts] =
      std::max(n * capacity * sizeof(uint32_t), sample_parts(n, scan.plan().k) * n * k * sizeof(Entry));
  sizes[kCounts] = 2 * n * sizeof(uint32_t);
  sizes[kLimits] = n * sizeof(uint32_t);
  sizes[kBest] = n * k * sizeof(Entry);
  sizes[kReadback] = sizes[kBest] + n * sizeof(uint32_t);
  return sizes;
}

// Sends what the kernels want of the queries beside the queries themselves.
Status prepare(Scan* scan, int64_t first, int64_t count, const MatrixShape& shape,
               const MatrixBounds& bounds) {
  Context& context = scan->context();
  Queue& queue = context.queue();
  const SearchPlan& plan = scan->plan();
  const auto n = static_cast<size_t>(count);
  std::vector<Bound> bound(n);
  for (size_t q = 0; q < n; ++q) {
    const float* from = plan.queries + (first + static_cast<int64_t>(q)) * plan.query_stride;
    bound[q] = bounds.of(squared_norm(from, scan->dim()));
  }
  const std::vector<uint32_t> no_limits(n, kEmpty), zeros(2 * n, 0);
  queue.write(context.work(kBounds), 0, bound.data(), n * sizeof(Bound));
  queue.write(context.work(kLimits), 0, no_limits.data(), n * sizeof(uint32_t));
  queue.write(context.work(kCounts), 0, zeros.data(), 2 * n * sizeof(uint32_t));
  return scan->tile_queries(round_up(count, shape.query_tile));
}

Status dispatch_window(Scan* scan, const Scan::Range& range, const MatrixShape& shape, MatrixParams p) {
  Context& context = scan->context();
  Scan::Rows rows;
  NF_TRY(scan->rows_of(range, &rows));
  const Buffer &queries = context.work(kQueries), &candidates = context.work(kParts),
               &counts = context.work(kCounts), &limits = context.work(kLimits);
  p.first_row = rows.first_row;
  p.group_begin = rows.group_begin;
  p.group_end = rows.group_end;
  p.has_masks = scan->has_masks();
  p.query_tiles = static_cast<uint32_t>((p.batch + shape.query_tile - 1) / shape.query_tile);
  const uint32_t count = (range.group_end - range.group_begin) * static_cast<uint32_t>(kGroupRows);
  p.workgroups = (count + shape.row_tile - 1) / shape.row_tile * p.query_tiles;
  NF_TRY(context.dispatch(kMatrix, {scan->metric(), shape.query_tile, 1}, p, context.grid(p.workgroups),
                          {rows.vectors, rows.side, rows.live, &context.work(kTileQueries), &scan->masks(),
                           &context.work(kBounds), &limits, &counts, &candidates}));
  p.workgroups = p.batch;
  return context.dispatch(
      kRescore, {scan->metric(), 1, shape.list_capacity}, p, context.grid(p.batch),
      {rows.vectors, rows.side, &queries, &candidates, &counts, &context.work(kBest), &limits});
}

}  // namespace

bool matrix_fits(const Scan& scan, const MatrixShape& shape) {
  return scan.fits(sizes_for(scan, 0, 1, shape, kGroupRows));
}

Status matrix_search(Scan* scan, const MatrixShape& shape, Hit* hits, int32_t* rescored) {
  Context& context = scan->context();
  Queue& queue = context.queue();
  const SearchPlan& plan = scan->plan();
  const MatrixBounds bounds(scan->metric(), scan->dim());
  uint32_t capacity = capacity_for(plan.k, context.path() == Path::kMatrix);
  std::vector<uint8_t> back;
  std::vector<int64_t> cut_short;
  for (int64_t first = 0, count; first < plan.batch; first += count) {
    count = std::min(plan.batch - first, round_up(scan->queries_per_dispatch(), shape.query_tile));
    while (count > 1 && !scan->fits(sizes_for(*scan, first, count, shape, capacity))) count = (count + 1) / 2;
    while (capacity > kGroupRows && !scan->fits(sizes_for(*scan, first, count, shape, capacity)))
      capacity /= 2;
    const WorkSizes sizes = sizes_for(*scan, first, count, shape, capacity);
    NF_TRY(context.reserve(sizes, "search"));
    NF_TRY(scan->load(first, count, shape.query_tile, 1, 0));
    NF_TRY(prepare(scan, first, count, shape, bounds));
    int64_t seen = 0;
    NF_TRY(seed_limits(scan, context.flat_shape(count, plan.k), count, sample_rows(*scan),
                       sample_parts(static_cast<uint64_t>(count), plan.k), &seen));
    scan->take_blocks_of(shape.query_tile, 1);
    MatrixParams p{};
    p.chunks = scan->chunks();
    p.batch = static_cast<uint32_t>(count);
    p.k = static_cast<uint32_t>(plan.k);
    p.capacity = capacity;
    p.scale = bounds.scale();
    p.first = 1;
    p.slab_rows = kEmpty;
    std::vector<Scan::Range> ranges;
    // Without limits every row is a candidate.
    int64_t window = std::max<int64_t>(capacity, window_rows(seen, capacity, plan.k));
    int64_t scanned = 0;
    while (!scan->done()) {
      NF_TRY(scan->call().poll());
      const double units = scan->next(kEmpty, std::max<int64_t>(1, window / kGroupRows), &ranges);
      for (const Scan::Range& range : ranges) {
        NF_TRY(dispatch_window(scan, range, shape, p));
        p.first = 0;
        scanned += int64_t{range.group_end - range.group_begin} * kGroupRows;
      }
      window = std::max(window, window_rows(std::max(seen, scanned), capacity, plan.k));
      NF_TRY(queue.submit(units, "search"));
    }
    const uint64_t best = sizes[kBest], sums = static_cast<uint64_t>(count) * sizeof(uint32_t);
    queue.copy(context.work(kBest), 0, context.work(kReadback), 0, best);
    queue.copy(context.work(kCounts), sums, context.work(kReadback), best, sums);
    NF_TRY(queue.submit(0, "search"));
    back.resize(best + sums);
    NF_TRY(queue.read(context.work(kReadback), back.size(), back.data(), "search"));
    put_hits({reinterpret_cast<const Entry*>(back.data()), best / sizeof(Entry)}, hits + first * plan.k);
    const auto* counted = reinterpret_cast<const uint32_t*>(back.data() + best);
    read_sums(counted, first, count, rescored, &cut_short);
  }
  return search_others(scan, cut_short, hits, rescored, direct_search);
}

}  // namespace nearfield::gpu
