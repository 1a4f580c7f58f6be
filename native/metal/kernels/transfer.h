// SPDX-License-Identifier: Apache-2.0
// Codes and side values of rows from slab to slab: a target group a simdgroup, a row of it a lane. Bits are
// copied.
#ifndef NEARFIELD_METAL_TRANSFER_H
#define NEARFIELD_METAL_TRANSFER_H

#include "coded.h"

namespace nearfield {
namespace kernels {

// Values of `bits` bits of a group's rows, the source's `stride` words a group. A word of them is written by
// one lane; rows that come from nowhere keep their part of it.
inline void transfer_packed(device const uint* from, uint stride, device uint* to, device const uint* rows,
                            uint bits, uint bit) {
  const uint per_word = 32 / bits;
  const uint mask = (1u << bits) - 1;
  if (bit % per_word != 0) return;
  uint word = 0;
  uint kept = 0;
  for (uint i = 0; i < per_word; ++i) {
    const uint row = rows[bit + i];
    if (row == NEARFIELD_EMPTY) {
      kept |= mask << (i * bits);
      continue;
    }
    const uint value = from[ulong(row >> 5) * stride + (row & 31) / per_word];
    word |= ((value >> (row % per_word * bits)) & mask) << (i * bits);
  }
  if (kept == ~0u) return;
  device uint* out = to + bit / per_word;
  *out = kept == 0 ? word : word | (*out & kept);
}

// targets: NEARFIELD_TARGET_WORDS a group.
template <int METRIC, uint QUERIES, uint CAPACITY>
[[kernel]] void transfer(constant TransferParams& p [[buffer(0)]], device const uint* targets [[buffer(1)]],
                         device const uint* source [[buffer(2)]], device uint* destination [[buffer(3)]],
                         device const uint* source_sides [[buffer(4)]],
                         device uint* destination_sides [[buffer(5)]],
                         uint3 group [[threadgroup_position_in_grid]],
                         uint lane [[thread_index_in_threadgroup]]) {
  const uint place = p.list_begin + (group.x + group.y * p.grid_x) * TILE_GROUPS + (lane >> 5);
  if (place >= p.list_end) return;
  device const uint* target = targets + ulong(place) * NEARFIELD_TARGET_WORDS;
  const uint bit = lane & 31, mine = target[0], row = target[1 + bit];
  const CodedSlab<METRIC> from = {p.from_groups, p.levels, p.level_chunks};
  const CodedSlab<METRIC> to = {p.to_groups, p.levels, p.level_chunks};
  if (row != NEARFIELD_EMPTY) {
    for (uint l = 0; l < p.levels; ++l) {
      device const uint* codes = source + from.level(l, row >> 5) / 4 + (row & 31);
      device uint* out = destination + to.level(l, mine) / 4 + bit;
      for (uint k = 0; k < p.level_chunks; ++k) out[k * 32] = codes[k * 32];
    }
    if (p.has_side != 0) destination_sides[ulong(mine) * 32 + bit] = source_sides[row];
  }
  for (uint l = 0; l + 1 < p.levels; ++l)
    transfer_packed(source + from.tails(l, 0) / 4, TAIL_BYTES / 4, destination + to.tails(l, mine) / 4,
                    target + 1, 8, bit);
  const uint side_words = p.planes * SIDE_PLANE_BYTES / 4;  // of a group
  for (uint plane = 0; plane < p.planes; ++plane) {
    const uint at = plane * SIDE_PLANE_BYTES / 4;
    transfer_packed(source + from.sides(0) / 4 + at, side_words,
                    destination + to.sides(0) / 4 + ulong(mine) * side_words + at, target + 1, 16, bit);
  }
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_TRANSFER_H
