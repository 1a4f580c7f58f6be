// SPDX-License-Identifier: Apache-2.0
// What a build for tests (NF_STAND_INS) has instead of instructions that its CPU lacks: tiles in memory,
// which follow the Intel Architectures Software Developer's Manual, volume 2, and end the process where the
// CPU would fault; and AVX-512 VNNI's form of what AVX-VNNI calls by the same name.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tiles.hpp"

#define NF_STAND_IN_SUFFIX "-sim"
#define NF_HAS_AMX x86_has_avx512vnni  // all that the kernels of AMX need beside it
#define NF_HAS_AVXVNNI x86_has_avx512vnni
#define NF_AVXVNNI_PREFIX "evex"

namespace nearfield::cpu {

class HostTiles {
 public:
  ~HostTiles() { require(palette_ == 0, "a thread ends with its tiles configured"); }

  void configure(const TileConfig& config) {
    require(config.palette <= 1, "ldtilecfg: no such palette");
    require(config.start_row < kTileRows, "ldtilecfg: start_row");
    for (const uint8_t byte : config.reserved) require(byte == 0, "ldtilecfg: a reserved byte is not 0");
    for (int i = 0; i < 16; ++i) {
      const int rows = config.rows[i], bytes = config.row_bytes[i];
      require(rows <= kTileRows && bytes <= kTileBytes, "ldtilecfg: a tile of more than 16 rows of 64 bytes");
      require((rows == 0) == (bytes == 0), "ldtilecfg: rows without bytes or bytes without rows");
      require(i < kTiles || rows == 0, "ldtilecfg: a tile that palette 1 has not");
      if (i < kTiles) tiles_[i] = {rows, bytes, {}};
    }
    require(config.start_row == 0, "not followed here: an instruction that goes on at start_row");
    palette_ = config.palette;
  }
  void release() { *this = {}; }

  void zero(int tile) { std::memset(at(tile).data, 0, sizeof(Tile::data)); }
  void load(int tile, const void* from, int64_t stride) {
    Tile& t = at(tile);
    std::memset(t.data, 0, sizeof(t.data));
    for (int row = 0; row < t.rows; ++row)
      std::memcpy(t.data[row], static_cast<const char*>(from) + row * stride, static_cast<size_t>(t.bytes));
  }
  void store(int tile, void* to, int64_t stride) {
    const Tile& t = at(tile);
    for (int row = 0; row < t.rows; ++row)
      std::memcpy(static_cast<char*>(to) + row * stride, t.data[row], static_cast<size_t>(t.bytes));
  }
  void multiply_signed_unsigned(int sums, int a, int b) {
    require(sums != a && sums != b && a != b, "tdpbsud: a tile twice");
    Tile& c = at(sums);
    const Tile &x = at(a), &y = at(b);
    require(c.rows == x.rows && c.bytes == y.bytes && x.bytes % 4 == 0 && x.bytes / 4 == y.rows &&
                c.bytes % 4 == 0,
            "tdpbsud: tiles that do not fit");
    for (int m = 0; m < x.rows; ++m) {
      uint32_t row[kTileRows];  // sums wrap around
      std::memcpy(row, c.data[m], sizeof(row));
      for (int k = 0; k < x.bytes / 4; ++k)
        for (int n = 0; n < y.bytes / 4; ++n)
          for (int i = 0; i < 4; ++i)
            row[n] += static_cast<uint32_t>(static_cast<int8_t>(x.data[m][4 * k + i]) *
                                            static_cast<int32_t>(y.data[k][4 * n + i]));
      std::memcpy(c.data[m], row, static_cast<size_t>(y.bytes));
      std::memset(c.data[m] + y.bytes, 0, static_cast<size_t>(kTileBytes - y.bytes));
    }
    for (int m = x.rows; m < kTileRows; ++m) std::memset(c.data[m], 0, kTileBytes);
  }

 private:
  static constexpr int kTiles = 8;
  struct Tile {
    int rows = 0, bytes = 0;
    uint8_t data[kTileRows][kTileBytes] = {};
  };

  static void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "stand_ins.hpp: %s\n", what);
    std::abort();
  }
  Tile& at(int tile) {
    require(palette_ == 1, "tiles are not configured");
    require(tiles_[tile].rows != 0, "a tile that is not configured");
    return tiles_[tile];
  }

  int palette_ = 0;
  Tile tiles_[kTiles];
};

inline thread_local HostTiles host_tiles;

inline void ldtilecfg(const TileConfig& config) { host_tiles.configure(config); }
inline void tilerelease() { host_tiles.release(); }
template <int Tile>
inline void tilezero() {
  host_tiles.zero(Tile);
}
template <int Tile>
inline void tileloadd(const void* from, int64_t stride) {
  host_tiles.load(Tile, from, stride);
}
template <int Tile>
inline void tilestored(void* to, int64_t stride) {
  host_tiles.store(Tile, to, stride);
}
template <int Sums, int A, int B>
inline void tdpbsud() {
  host_tiles.multiply_signed_unsigned(Sums, A, B);
}

}  // namespace nearfield::cpu
