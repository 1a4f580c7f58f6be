// SPDX-License-Identifier: Apache-2.0
// Moves rows between plain rows and tile32, in any direction: one lane per 16-byte chunk.
#ifndef NEARFIELD_METAL_MOVE_H
#define NEARFIELD_METAL_MOVE_H

#include "common.h"

namespace nearfield {
namespace kernels {

inline ulong place(uint chunks, uint row, uint chunk, uint tile) {
  if (tile != 0) return (ulong(row >> 5) * chunks + chunk) * 32 + (row & 31);
  return ulong(row) * chunks + chunk;
}

// moves: from, to. Bits are moved, not floats, whose subnormals a GPU may flush.
template <int METRIC, uint QUERIES, uint CAPACITY>
[[kernel]] void move(constant MoveParams& p [[buffer(0)]], device const uint2* moves [[buffer(1)]],
                     device const uint4* source [[buffer(2)]], device uint4* destination [[buffer(3)]],
                     device const uint* source_sides [[buffer(4)]],
                     device uint* destination_sides [[buffer(5)]],
                     uint3 group [[threadgroup_position_in_grid]],
                     uint lane [[thread_index_in_threadgroup]]) {
  const uint index = (group.x + group.y * p.grid_x) * LANES + lane;
  const uint item = index / p.chunks;
  const uint chunk = index % p.chunks;
  if (item >= p.count) return;
  const uint2 pair = moves[p.move_begin + item];
  destination[place(p.chunks, pair.y, chunk, p.to_tile)] =
      source[place(p.chunks, pair.x, chunk, p.from_tile)];
  if (p.has_side != 0 && chunk == 0) destination_sides[pair.y] = source_sides[pair.x];
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_MOVE_H
