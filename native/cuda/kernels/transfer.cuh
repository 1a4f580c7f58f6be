// SPDX-License-Identifier: Apache-2.0
// Codes and side values of rows from slab to slab: a target group a warp, a row of it a lane.
#pragma once

#include "coded.cuh"
#include "shapes.h"

namespace nearfield::cuda {

// Values of BITS bits of a group's rows, the source's `stride` bytes a group. A word of them is written by
// one lane; rows that come from nowhere keep their part of it.
template <uint32_t BITS>
__device__ inline void transfer_packed(const uint8_t* from, uint32_t stride, uint8_t* to,
                                       const uint32_t* rows, uint32_t bit) {
  constexpr uint32_t per_word = 32 / BITS, mask = (1u << BITS) - 1;
  if (bit % per_word != 0) return;
  uint32_t word = 0, kept = 0;
  NF_UNROLL
  for (uint32_t i = 0; i < per_word; ++i) {
    const uint32_t row = rows[bit + i];
    if (row == NEARFIELD_EMPTY) {
      kept |= mask << (i * BITS);
      continue;
    }
    const auto* const group =
        reinterpret_cast<const uint32_t*>(from + static_cast<uint64_t>(row / kWarp) * stride);
    word |= (group[row % kWarp / per_word] >> (row % per_word * BITS) & mask) << (i * BITS);
  }
  if (kept == ~0u) return;
  auto* const out = reinterpret_cast<uint32_t*>(to) + bit / per_word;
  *out = kept == 0 ? word : word | (*out & kept);
}

// targets: NEARFIELD_TARGET_WORDS a group.
__device__ inline void transfer(const TransferParams& p, const uint32_t* targets, const uint8_t* source,
                                uint8_t* destination, const float* source_sides, float* destination_sides) {
  const uint32_t block = blockIdx.x + blockIdx.y * p.grid_x;
  const uint32_t place = p.list_begin + block * (kLaneThreads / kWarp) + threadIdx.x / kWarp;
  if (place >= p.list_end) return;
  const uint32_t* const target = targets + static_cast<uint64_t>(place) * NEARFIELD_TARGET_WORDS;
  const uint32_t bit = threadIdx.x % kWarp, group = target[0], row = target[1 + bit];
  const CodedSlab<kL2, const uint8_t> from{source, p.from_groups, p.levels, p.level_chunks};
  const CodedSlab<kL2, uint8_t> to{destination, p.to_groups, p.levels, p.level_chunks};
  if (row != NEARFIELD_EMPTY) {
    for (uint32_t l = 0; l < p.levels; ++l) {
      const auto* const codes = reinterpret_cast<const uint32_t*>(from.level(l, row / kWarp)) + row % kWarp;
      auto* const out = reinterpret_cast<uint32_t*>(to.level(l, group)) + bit;
      for (uint32_t k = 0; k < p.level_chunks; ++k) out[k * kWarp] = codes[k * kWarp];
    }
    if (p.has_side != 0) destination_sides[static_cast<uint64_t>(group) * kWarp + bit] = source_sides[row];
  }
  for (uint32_t l = 0; l + 1 < p.levels; ++l)
    transfer_packed<8>(from.tails(l, 0), kWarp, to.tails(l, group), target + 1, bit);
  const uint32_t sides_bytes = p.planes * kSidePlaneBytes;  // of a group
  uint8_t* const sides = to.sides(0) + static_cast<uint64_t>(group) * sides_bytes;
  for (uint32_t plane = 0; plane < p.planes; ++plane)
    transfer_packed<16>(from.sides(0) + plane * kSidePlaneBytes, sides_bytes, sides + plane * kSidePlaneBytes,
                        target + 1, bit);
}

}  // namespace nearfield::cuda
