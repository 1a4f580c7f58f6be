// SPDX-License-Identifier: Apache-2.0
// Moves rows between plain rows and tile32, in any direction: one thread per 16-byte chunk.
#pragma once

#include "device.cuh"
#include "shapes.h"

namespace nearfield::cuda {

__device__ inline uint64_t place(uint32_t chunks, uint32_t row, uint32_t chunk, uint32_t tile) {
  if (tile == 0) return static_cast<uint64_t>(row) * chunks + chunk;
  return (static_cast<uint64_t>(row / kWarp) * chunks + chunk) * kWarp + row % kWarp;
}

// The threads of a dispatch, rows times chunks, are fewer than 2^32.
__device__ inline void move(const MoveParams& p, const Move* moves, const float4* source, float4* destination,
                            const float* source_sides, float* destination_sides) {
  const uint32_t index = (blockIdx.x + blockIdx.y * p.grid_x) * kLaneThreads + threadIdx.x;
  const uint32_t item = index / p.chunks, chunk = index % p.chunks;
  if (item >= p.count) return;
  const Move m = moves[p.move_begin + item];
  destination[place(p.chunks, m.to, chunk, p.to_tile)] = source[place(p.chunks, m.from, chunk, p.from_tile)];
  if (p.has_side != 0 && chunk == 0) destination_sides[m.to] = source_sides[m.from];
}

}  // namespace nearfield::cuda
