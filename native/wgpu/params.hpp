// SPDX-License-Identifier: Apache-2.0
// Uniform blocks of the kernels: the same fields in the same order as the WGSL structs of the same names.
#pragma once

#include <cstdint>

namespace nearfield::wgpu {

struct ScanParams {
  uint32_t chunks, first_row, group_begin, group_end;
  uint32_t groups_per_part, query_blocks, batch, k;
  uint32_t workgroups, grid_x, part_base, part_stride;
  uint32_t has_masks, digit_stage, digit_shift;
  float zero;
};

struct MergeParams {
  uint32_t batch, k, lists, part_stride;
  uint32_t first, grid_x, reserved0, reserved1;
};

struct ScoreParams {
  uint32_t chunks, pair_begin, pair_end, workgroups;
  uint32_t grid_x, reserved0, reserved1;
  float zero;
};

struct MoveParams {
  uint32_t chunks, count, from_tile, to_tile;
  uint32_t has_side, move_begin, grid_x, reserved;
};

struct Digits {
  uint32_t key, row, key_mask, row_mask;
};

// Elements of storage arrays of vec2<u32>.
struct Entry {
  uint32_t key, row;
};
struct Move {
  uint32_t from, to;
};
struct Pair {
  uint32_t query, row;
};

inline constexpr uint32_t kEmpty = 0xffffffff;  // EMPTY of common.wgsl
inline constexpr uint32_t kBins = 2048;         // BINS of radix.wgsl
inline constexpr uint32_t kDigitBits = 11;
inline constexpr uint32_t kLanes = 64;  // WG: a multiple of 32, at most the 128 that every adapter allows
inline constexpr uint32_t kRowsPerLane = 2;                          // ROWS of rows.wgsl
inline constexpr uint32_t kTileRows = kLanes * kRowsPerLane;         // TILE_ROWS
inline constexpr uint32_t kTileGroups = kLanes / 32 * kRowsPerLane;  // TILE_GROUPS

// Loop iterations of one workgroup, all its loops together. llvmpipe (lavapipe) ends every loop of an
// invocation once 65,535 iterations have been made, silently; so parts of a scan and merges are cut shorter,
// which costs nothing elsewhere. The inner loops over QB and ROWS are unrolled by its compiler; a margin of a
// quarter covers what a count like this one forgets.
inline constexpr uint32_t kMostLoops = 50'000;

// A rank from its order-preserving key (rank_key of common.wgsl).
inline float rank_of_key(uint32_t key) {
  const uint32_t bits = (key & 0x80000000u) != 0 ? key ^ 0x80000000u : ~key;
  float rank;
  static_assert(sizeof(rank) == sizeof(bits));
  __builtin_memcpy(&rank, &bits, sizeof(rank));
  return rank;
}

}  // namespace nearfield::wgpu
