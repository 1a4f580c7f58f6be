// SPDX-License-Identifier: Apache-2.0
// The numeric kernels, compiled once per instruction set ("path") and chosen at run time. All paths return
// the same bits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "tile32.hpp"

namespace nearfield::cpu {

// Queries given to one kernel call: the call's overhead is spread over 48 x 32 distances, and its outputs (6
// KiB of ranks) stay in L1 beside a group of rows.
inline constexpr int32_t kQueriesPerCall = 48;
inline constexpr int64_t kCacheLine = 64;  // bytes; Apple's 128 are fetched by two requests for 64

// One tile32 group of rows against up to kQueriesPerCall queries, in the canonical final form.
struct DirectTile {
  const float* rows = nullptr;            // the group's first float
  const float* side = nullptr;            // 32 values, metric.hpp: row_side()
  int64_t chunks = 0;                     // padded_dim / 4
  const float* const* queries = nullptr;  // `count` pointers to padded_dim floats
  int32_t count = 0;
  const float* limits = nullptr;    // per query: a rank above it is not wanted
  const char* ahead = nullptr;      // memory to prefetch meanwhile
  const char* ahead_end = nullptr;  // never read: may lie outside the slab
  float* ranks = nullptr;           // out: count x 32
  uint32_t* kept = nullptr;         // out, per query: bit r set = ranks[r] <= limit
};

// Queries in panels, each a copy [dimension mod 4][chunk][its queries]: as few panels as the path's registers
// allow, of nearly equal size, the wider ones first.
struct Panels {
  int64_t queries = 0;
  int64_t count = 0;

  int64_t narrow() const { return queries / count; }
  int64_t wider() const { return queries % count; }  // panels of one query more
  int64_t widest() const { return (queries + count - 1) / count; }
  int64_t first_query(int64_t panel) const { return panel * narrow() + std::min(panel, wider()); }
};

// How the product kernel sums for L2 and cosine: chains of `length` multiply-adds, whose sums are then added.
// Chains of up to 128 round little (bounds.hpp) and spend little on what happens between them.
struct Segments {
  int64_t dims, count, length;
  explicit constexpr Segments(int64_t chunks)
      : dims(chunks * kChunkFloats), count((dims + 127) / 128), length((dims + count - 1) / count) {}
};

// One packed group against consecutive panels. Dot: its ranks, which are final. L2 and cosine: only which
// rows cannot be excluded (bounds.hpp).
struct ProductTile {
  const float* rows = nullptr;  // Kernels::pack
  const float* side = nullptr;
  int64_t chunks = 0;
  const float* panels = nullptr;
  int32_t panel_count = 0;
  int32_t panel_queries = 0;  // of each panel; the first `wider_panels` have one more
  int32_t wider_panels = 0;
  float half_shrunk = 0;        // MatrixBound::half_shrunk()
  const float* cuts = nullptr;  // per query: MatrixBound::cut(), dot: the limit
  const char* ahead = nullptr;  // as in DirectTile
  const char* ahead_end = nullptr;
  float* ranks = nullptr;    // out, dot only: per query 32, in the order of places
  uint32_t* kept = nullptr;  // out, per query: bit p set = the row at place p may be among the best
};

// Pairs of a query and a row anywhere, in the canonical final form.
struct PairList {
  const float* const* queries = nullptr;  // `count` pointers to padded_dim floats
  const float* const* rows = nullptr;     // to each row's first chunk (tile32.hpp: row_offset)
  const float* side = nullptr;            // of each row
  int64_t count = 0;
  int64_t chunks = 0;
  float* ranks = nullptr;  // out
};

struct Kernels {
  const char* name;                  // "avx512"
  int32_t lanes;                     // f32 lanes of a vector register
  bool (*supported)();               // by the CPU this runs on
  int32_t panel_queries;             // the widest panel
  uint8_t row_of_place[kGroupRows];  // the order that pack() leaves
  // A group and its side values, side by side for product(); 64-byte aligned, as many floats as the group
  // has.
  void (*pack)(const float* rows, const float* side, int64_t chunks, float* packed, float* packed_side);
  // Indexed by metric - 1.
  void (*direct[5])(const DirectTile&);
  void (*product[5])(const ProductTile&);  // NULL where the metric is no product of row and query
  void (*pairs[5])(const PairList&);
};

// Compiled in, best first; never empty.
std::span<const Kernels* const> compiled_paths();

}  // namespace nearfield::cpu
