// SPDX-License-Identifier: Apache-2.0
// Sizes that the WGSL kernels are written for.
#pragma once

#include <cstdint>

namespace nearfield::wgpu {

inline constexpr uint32_t kLanes = 64;  // WG: a multiple of 32, at most the 128 that every adapter allows
inline constexpr uint32_t kRowsPerLane = 2;                   // ROWS of rows.wgsl
inline constexpr uint32_t kTileRows = kLanes * kRowsPerLane;  // TILE_ROWS

// Loop iterations of one workgroup on a software GPU, all its loops together. llvmpipe (lavapipe) ends every
// loop of an invocation once 65,535 iterations have been made, silently; so parts of a scan and merges are
// cut shorter: a merge of k = 129 to 78 lists, which would starve a real one. The inner loops over QB,
// ROWS and AHEAD, and over the four words of a subgroup's votes, are unrolled by its compiler; a margin of a
// quarter covers what a count like this one forgets.
inline constexpr uint32_t kMostLoops = 50'000;

// A lane of merge.wgsl keeps a bit for each list that it follows.
inline constexpr uint32_t kMostLists = 32 * kLanes;

// Queries of a workgroup of flat, where a search has more than one.
inline constexpr uint32_t kFlatQueries = 4;

// Lists hold k + kTileRows entries. Four queries by 256 entries and one by 1024 take 8 KiB of the 16 KiB of
// workgroup memory that every adapter has.
inline constexpr uint32_t kSmallList = 256, kLargeList = 1024;
inline constexpr int32_t kSmallListK = kSmallList - kTileRows;
inline constexpr int32_t kMostListK = 512;

// Tiles of coded_product: queries, and with two lanes a query as many lanes again; 64 of them take 11.5 KiB
// of workgroup memory. Rows, each group of which is a part of a sample.
inline constexpr uint32_t kSmallProductTile = 32, kProductTile = 64;
inline constexpr uint32_t kProductRows = 64, kProductParts = kProductRows / 32;

}  // namespace nearfield::wgpu
