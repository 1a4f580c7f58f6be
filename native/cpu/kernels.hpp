// SPDX-License-Identifier: Apache-2.0
// The numeric kernels, compiled once per instruction set ("path") and chosen at run time. All paths return
// the same bits.
#pragma once

#include <cstdint>
#include <span>

namespace nearfield::cpu {

// Queries given to one kernel call: the call's overhead is spread over 48 x 32 distances, and its outputs (6
// KiB of ranks) stay in L1 beside a group of rows.
inline constexpr int32_t kQueriesPerCall = 48;

// One tile32 group of rows against up to kQueriesPerCall queries, in the canonical final form.
struct DirectTile {
  const float* rows = nullptr;            // the group's first float
  const float* side = nullptr;            // 32 values, metric.hpp: row_side()
  int64_t chunks = 0;                     // padded_dim / 4
  const float* const* queries = nullptr;  // `count` pointers to padded_dim floats
  int32_t count = 0;
  const float* limits = nullptr;  // per query: a rank above it is not wanted
  float* ranks = nullptr;         // out: count x 32
  uint32_t* kept = nullptr;       // out, per query: bit r set = ranks[r] <= limit
};

// The same group in matrix form: only which rows cannot be excluded (bounds.hpp).
struct MatrixTile {
  const float* rows = nullptr;
  const float* side = nullptr;
  int64_t chunks = 0;
  const float* const* queries = nullptr;
  int32_t count = 0;
  float half_shrunk = 0;        // MatrixBound::half_shrunk()
  const float* cuts = nullptr;  // per query: MatrixBound::cut()
  uint32_t* kept = nullptr;     // out, per query: bit r set = row r may be among the best
};

// One query against rows anywhere, in the canonical final form.
struct RowList {
  const float* query = nullptr;
  int64_t chunks = 0;
  const float* const* rows = nullptr;  // `count` pointers to a row's first chunk (tile32.hpp: row_offset)
  const float* side = nullptr;         // count values
  int64_t count = 0;
  float* ranks = nullptr;  // out
};

struct Kernels {
  const char* name;     // "avx512"
  int32_t lanes;        // f32 lanes of a vector register
  bool (*supported)();  // by the CPU this runs on
  // Indexed by metric - 1.
  void (*direct[5])(const DirectTile&);
  void (*matrix[5])(const MatrixTile&);  // NULL where the metric has no matrix form that pays
  void (*row_list[5])(const RowList&);
};

// Compiled in, best first; never empty.
std::span<const Kernels* const> compiled_paths();

}  // namespace nearfield::cpu
