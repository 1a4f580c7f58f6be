// SPDX-License-Identifier: Apache-2.0
// Limits of a search for many hits from a sample of the rows. A queue of k hits meets about k ln(rows / k)
// rows on its way to them, as its limit falls from one to the next. Here one group in 16 is searched first,
// for the sample_hits(k) best of it alone; the last of these is a limit that some 1.7 k rows of all reach (k
// = 1000), and only they are looked at again in the rest. At 1M rows that is 2,500 rows a query instead of
// 12,000. The limit is a guess: a query that ends with fewer than k hits was misled, and is searched again
// without one.
#pragma once

#include <cmath>
#include <cstdint>

#include "scan.hpp"

namespace nearfield::cpu {

inline constexpr int64_t kSampleShare = 16;

// Below, what the queues save is less than what a second pass over the blocks costs (k = 64: level).
inline constexpr int64_t kSampledHits = 65;

// As many rows in the sample as hits are wanted: with fewer, the guess is as long a way as the queue's.
constexpr bool pays_to_sample(int64_t k, int64_t rows) {
  return k >= kSampledHits && rows >= kSampleShare * k;
}

// Of the k best rows, k / 16 are expected in the sample, binomially distributed; five deviations and five
// more for the skew of small k mislead one query in 10^8 where rows lie in no order. Where neighbours are
// alike (runs of near-duplicates) it is more, never wrong.
inline int64_t sample_hits(int64_t k) {
  const double expected = static_cast<double>(k) / kSampleShare;
  return static_cast<int64_t>(std::ceil(expected + 5 * std::sqrt(expected) + 5));
}

// One group of every 16, at a place that follows no period: the top bits of multiples of 2^64 / golden ratio.
inline bool in_sample(int64_t group) {
  const auto run = static_cast<uint64_t>(group / kSampleShare);
  return group % kSampleShare == static_cast<int64_t>(run * 0x9e3779b97f4a7c15u >> 60);
}

inline bool visits(Pass pass, int64_t group) {
  return pass == Pass::kAll || pass == Pass::kMore || in_sample(group) == (pass == Pass::kSample);
}

}  // namespace nearfield::cpu
