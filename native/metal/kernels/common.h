// SPDX-License-Identifier: Apache-2.0
// Sizes, keys and their order, shared by all kernels. C++14, as MSL 3 is; kernels.metal includes the standard
// library.
#ifndef NEARFIELD_METAL_COMMON_H
#define NEARFIELD_METAL_COMMON_H

#include "kernel_params.h"

// An array in threadgroup memory, which only a kernel function may declare. The emulator has a form of its
// own.
#ifndef NF_SHARED
#define NF_SHARED(type, name, count) threadgroup type name[count]
#endif

// Before a loop whose index picks a register: arrays of registers must not end up in memory.
#define NF_UNROLL _Pragma("clang loop unroll(full)")

namespace nearfield {
namespace kernels {

// Four simdgroups: what `matrix` needs, and few enough that a barrier costs little.
constant constexpr uint LANES = 128;
// Rows of a step of a scan: one per lane.
constant constexpr uint TILE_ROWS = LANES;
constant constexpr uint TILE_GROUPS = TILE_ROWS / 32;

// An entry of a list: (key, row) as one number, compared at once. Unique, so every selection is deterministic
// and ties go to the lower row.
constant constexpr ulong NO_ENTRY = ~0ul;

inline ulong entry_of(uint key, uint row) { return (ulong(key) << 32) | row; }
inline uint key_of(ulong entry) { return uint(entry >> 32); }
inline uint row_of(ulong entry) { return uint(entry); }

// Order-preserving integer of a rank. -0 maps to +0 here, on the bits: a compiler may drop the addition of 0.
inline uint rank_key(float rank) {
  const uint bits = as_type<uint>(rank);
  if (bits == 0x80000000u) return 0x80000000u;
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
}
// Its inverse.
inline float rank_of(uint key) { return as_type<float>((key >> 31) != 0 ? key ^ 0x80000000u : ~key); }

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_COMMON_H
