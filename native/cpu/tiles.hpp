// SPDX-License-Identifier: Apache-2.0
// The tile registers of AMX, by the names that the Intel Architectures Software Developer's Manual, volume 2,
// gives their instructions: 8 tiles of up to 16 rows of 64 bytes. By asm: gcc 12 makes the numbers of tiles
// part of its intrinsics' text, where no template argument can stand, and neither compiler allocates tiles.
//
// A thread that has configured its tiles keeps 8 KiB more state for the system to save until it releases
// them. NF_STAND_INS: a header that gives the same functions a meaning on any CPU, for tests.
#pragma once

#include <cstdint>

namespace nearfield::cpu {

inline constexpr int kTileRows = 16;
inline constexpr int kTileBytes = 64;  // of a row

// The operand of ldtilecfg.
struct TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

#if defined(NF_STAND_INS)
}  // namespace nearfield::cpu
#include NF_STAND_INS
#else

inline void ldtilecfg(const TileConfig& config) { asm volatile("ldtilecfg %0" : : "m"(config)); }
inline void tilerelease() { asm volatile("tilerelease"); }

template <int Tile>
inline void tilezero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(Tile));
}
// A row every `stride` bytes.
template <int Tile>
inline void tileloadd(const void* from, int64_t stride) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(Tile), "r"(from), "r"(stride) : "memory");
}
template <int Tile>
inline void tilestored(void* to, int64_t stride) {
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(Tile), "r"(to), "r"(stride) : "memory");
}
// sums[m][n] += sum over k and i < 4 of a[m][4 k + i] b[k][4 n + i]; sums are int32, a int8, b uint8.
template <int Sums, int A, int B>
inline void tdpbsud() {
  asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sums), "i"(A), "i"(B));
}

}  // namespace nearfield::cpu
#endif
