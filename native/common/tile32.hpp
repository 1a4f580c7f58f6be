// SPDX-License-Identifier: Apache-2.0
// tile32: rows in groups of 32, in 16-byte chunks along the dimension, [group][dim_padded / 4][32][4] for
// f32. Padding (dimensions and rows) is zero. One lane per row reads 16 bytes a step, coalesced, on every
// backend.
#pragma once

#include <cstdint>
#include <cstring>

namespace nearfield {

inline constexpr int64_t kGroupRows = 32;   // one live word of 32 bits per group
inline constexpr int64_t kChunkFloats = 4;  // 16 bytes of f32

constexpr int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}
constexpr int64_t padded_dim(int64_t dim) { return round_up(dim, kChunkFloats); }
constexpr int64_t group_floats(int64_t dim) { return padded_dim(dim) * kGroupRows; }
constexpr int64_t groups_of(int64_t rows) { return (rows + kGroupRows - 1) / kGroupRows; }

// Offset, in floats from the slab's start, of the first chunk of a row; further chunks follow every
// kChunkStride floats.
inline constexpr int64_t kChunkStride = kGroupRows * kChunkFloats;
constexpr int64_t row_offset(int64_t row, int64_t dim) {
  return row / kGroupRows * group_floats(dim) + row % kGroupRows * kChunkFloats;
}

inline void write_row(float* slab, int64_t row, int64_t dim, const float* from) {
  float* to = slab + row_offset(row, dim);
  int64_t i = 0;
  for (; i + kChunkFloats <= dim; i += kChunkFloats, to += kChunkStride) std::memcpy(to, from + i, 16);
  if (i < dim) {
    float chunk[kChunkFloats] = {0, 0, 0, 0};
    std::memcpy(chunk, from + i, static_cast<size_t>(dim - i) * sizeof(float));
    std::memcpy(to, chunk, 16);
  }
}

inline void read_row(const float* slab, int64_t row, int64_t dim, float* to) {
  const float* from = slab + row_offset(row, dim);
  int64_t i = 0;
  for (; i + kChunkFloats <= dim; i += kChunkFloats, from += kChunkStride) std::memcpy(to + i, from, 16);
  if (i < dim) std::memcpy(to + i, from, static_cast<size_t>(dim - i) * sizeof(float));
}

}  // namespace nearfield
