// SPDX-License-Identifier: Apache-2.0
// Maps for bulk tensor copies, made by the host (cuTensorMapEncodeTiled), given to kernels by value as
// `const __grid_constant__ TensorMap`.
#pragma once

#include <stdint.h>

namespace nearfield::cuda {

struct alignas(64) TensorMap {  // CUtensorMap
  uint64_t words[16];
};

// Rows in tile32 as a tensor: a chunk of a group is 512 contiguous bytes, then come groups, then chunks. A
// box of 8 groups by 4 chunks lands as [chunk][256 rows][16 bytes]: core matrices of 8 rows one after the
// other, as the operands of wgmma are without swizzling. No more chunks: what pads rows to whole boxes is
// multiplied, too.
inline constexpr uint32_t kBoxGroups = 8, kBoxChunks = 4;
inline constexpr uint32_t kBoxRows = kBoxGroups * 32;
inline constexpr uint32_t kBoxBytes = kBoxRows * kBoxChunks * 16;
inline constexpr uint32_t kCoreMatrixBytes = 8 * 16, kBoxChunkBytes = kBoxRows * 16;

}  // namespace nearfield::cuda
