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

// coded_search() of codes alone, of queries that are not too long: the candidates of a window come to the
// host, are decoded and scored.
Status alone_search(Scan* scan, Hit* hits, int32_t* rescored, ScanCount* scanned);
bool alone_fits(const Scan& scan);
bool alone_pays(const Scan& scan);

}  // namespace nearfield::gpu
