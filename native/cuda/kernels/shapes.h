// SPDX-License-Identifier: Apache-2.0
// Sizes that the host and the kernels agree on. docs/cuda.md has the reasons.
#pragma once

#include <stdint.h>

#include "tensor_map.h"

namespace nearfield::cuda {

// flat, histogram, collect, rescore, levels: threads of a block, and the rows it scores between two barriers.
inline constexpr uint32_t kScanThreads = 128;
inline constexpr uint32_t kTileRows = 128;
inline constexpr uint32_t kQueryChunks = 32;  // of the queries of `flat` in shared memory at once
inline constexpr uint32_t kMergeThreads = 512;
inline constexpr uint32_t kMergeWidth = 2;  // lists that a thread of it follows at once
inline constexpr uint32_t kLaneThreads =
    256;  // score, move: one item a thread; rotate, code, decode, transfer: one row
// `levels`: steps of two chunks of its queries in shared memory, 8 KiB: 4,096 dimensions of one query, 1,024
// of four. What lies beyond is read through L1.
inline constexpr uint32_t kLevelsSteps = 512;

// `flat`: bytes of its lists, and of all its shared memory. A kernel may declare 48 KiB; lists that do not
// fit beside the rest are the launch's.
template <uint32_t QUERIES, uint32_t CAPACITY>
inline constexpr uint32_t kFlatListBytes = QUERIES* CAPACITY * 8;
template <uint32_t QUERIES, uint32_t CAPACITY>
inline constexpr uint32_t kFlatBytes = kFlatListBytes<QUERIES, CAPACITY> +
                                       (QUERIES == 1 ? 0 : QUERIES * kQueryChunks * 16) + QUERIES * 12;
inline constexpr uint32_t kDeclaredBytes = 48 << 10;
template <uint32_t QUERIES, uint32_t CAPACITY>
inline constexpr uint32_t kFlatGivenBytes =
    kFlatBytes<QUERIES, CAPACITY> > kDeclaredBytes ? kFlatListBytes<QUERIES, CAPACITY> : 0;

// `matrix`: a thread owns 8 queries by 8 rows. 128 by 128 for batches that fill the arithmetic units; 32 by
// 256 where reading the rows is what takes the time.
inline constexpr uint32_t kThreadTile = 8;
inline constexpr uint32_t kStepChunks = 4;  // of 4 dimensions, in shared memory at once, twice
template <uint32_t QUERY_TILE>
inline constexpr uint32_t kMatrixThreads = QUERY_TILE == 128 ? 256 : 128;
template <uint32_t QUERY_TILE>
inline constexpr uint32_t kMatrixRowTile = kMatrixThreads<QUERY_TILE> /
                                           (QUERY_TILE / kThreadTile) * kThreadTile;

// `coded_product`: a warp owns 64 rows by 64 queries; kProductStep chunks of 4 dimensions of both lie in
// shared memory at once, twice.
inline constexpr uint32_t kProductRowTile = 128;
inline constexpr uint32_t kProductStep = 16;
template <uint32_t QUERY_TILE>
inline constexpr uint32_t kProductThreads = QUERY_TILE* kProductRowTile / (64 * 64) * 32;

// `matrix_tf32`: a warp owns 64 rows by 64 queries. So large a tile because both operands come through L2,
// which would be the limit of a smaller one. kTf32Step chunks of 4 dimensions of both lie in shared memory at
// once, kTf32Stages times. From chunk to chunk two elements of 16 bytes more than there are rows, so that the
// eight lanes of a pass, two rows by four chunks, meet eight different quads of banks.
inline constexpr uint32_t kTf32RowTile = 256, kTf32QueryTile = 128;
inline constexpr uint32_t kTf32Threads = kTf32RowTile * kTf32QueryTile / (64 * 64) * 32;
inline constexpr uint32_t kTf32Step = 4, kTf32Stages = 3;
inline constexpr uint32_t kTf32RowStride = kTf32RowTile + 2, kTf32QueryStride = kTf32QueryTile + 2;
inline constexpr uint32_t kTf32StageElements = kTf32Step * (kTf32RowStride + kTf32QueryStride);
inline constexpr uint32_t kTf32GivenBytes = kTf32Stages * kTf32StageElements * 16;

// `matrix_tf32_wgmma`: the same tile by two warpgroups of 64 queries by 256 rows each, and a third one that
// copies; 192 KiB of boxes. Up to 128 dimensions all boxes of a tile have a stage of their own.
inline constexpr uint32_t kWgmmaGroups = 2, kWgmmaThreads = (kWgmmaGroups + 1) * 128;
inline constexpr uint32_t kWgmmaStages = 8;
inline constexpr uint32_t kQueryBoxGroups = kTf32QueryTile / 32;
inline constexpr uint32_t kQueryBoxBytes = kTf32QueryTile * kBoxChunks * 16;
inline constexpr uint32_t kWgmmaGivenBytes = kWgmmaStages * (kBoxBytes + kQueryBoxBytes);
static_assert(kBoxRows == kTf32RowTile);

}  // namespace nearfield::cuda
