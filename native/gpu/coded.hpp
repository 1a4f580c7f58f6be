// SPDX-License-Identifier: Apache-2.0
// What the exact scans of codes share.
#pragma once

#include <algorithm>

#include "query_codes.hpp"

namespace nearfield::gpu {

// Rows that a sample is made of, in their canonical form: enough for limits that leave few rows, and some 2
// MB of 128 dimensions.
inline constexpr int64_t kCodedSampleRows = 4096;
inline constexpr int64_t kSampleTimes = 20;  // as many for each of the k
// The bounds keep more rows than are within the limit: ten times as many on flat spectra (issue 12).
inline constexpr int64_t kKeptTimes = 16;
// What a row's codes take of the time of a row, for the pace: a third where all are read (lavapipe, 128
// dimensions), a twentieth where rows are left early.
inline constexpr double kCodeUnits = 1.0 / 8;

// Tests, which force these paths, have small stores.
inline bool forces_codes(Path path) {
  return path == Path::kCodes || path == Path::kSmallGrid || path == Path::kHardware;
}

inline int64_t coded_sample_rows(const Scan& scan) {
  const Context& context = scan.context();
  const int64_t least = forces_codes(context.path()) ? context.limits().tile_rows : kCodedSampleRows;
  return std::max(least, kSampleTimes * scan.plan().k);
}

// Of the next window, after `seen` rows.
inline int64_t coded_window_rows(int64_t seen, uint32_t capacity, int32_t k) {
  return seen * static_cast<int64_t>(capacity) / (kKeptTimes * (4 * int64_t{k} + 12));
}

inline uint32_t levels_block(int64_t count) { return count > 1 ? kLevelsQueries : 1; }

// Roundings of the canonical form (coded_query.hpp): WGSL may make two of a fused multiply-add, those of a
// square, a product and a difference more than the n + 4 that fuse.
inline int64_t canonical_roundings(const Scan& scan) { return int64_t{scan.chunks()} + 8; }

// Candidates of a query that one workgroup rescores within its loops.
inline uint32_t most_candidates(const Scan& scan, uint32_t list_capacity) {
  const Limits& limits = scan.context().limits();
  const uint32_t step = scan.chunks() + sort_loops(FlatShape{1, list_capacity, 1}, limits.lanes) + 16;
  return static_cast<uint32_t>(
      std::min<uint64_t>(uint64_t{std::max(1u, limits.loops / step)} * uint64_t{kGroupRows}, 1u << 31));
}

// By products of codes, where there are any and they are faster; query_tile 0: not so.
CodedProductShape coded_product_shape(const Scan& scan);
Status coded_product_search(Scan* scan, const CodedProductShape& shape, Hit* hits, int32_t* rescored,
                            ScanCount* scanned);

// coded_search() of codes alone, of queries that are not too long: the candidates of a window come to the
// host, are decoded and scored.
Status alone_search(Scan* scan, Hit* hits, int32_t* rescored, ScanCount* scanned);
bool alone_fits(const Scan& scan);
bool alone_pays(const Scan& scan);

}  // namespace nearfield::gpu
