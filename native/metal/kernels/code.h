// SPDX-License-Identifier: Apache-2.0
// int8 codes of whole groups with their side values (code_layout.hpp), a group a simdgroup, a row a lane.
// What rounds, and what is flushed, has its room in the scales that the host gives (gpu/coding.cpp).
#ifndef NEARFIELD_METAL_CODE_H
#define NEARFIELD_METAL_CODE_H

#include "coded.h"

namespace nearfield {
namespace kernels {

constant constexpr uint LEAST_SCALE = 27u << 23;  // 2^-100
constant constexpr float BETA_UNITS = 65500.0f;   // of 1

// A row's values of `bits` bits, from all lanes of a simdgroup.
inline void put_packed(device uint* to, uint value, uint bits, uint bit) {
  for (uint by = 1; by * bits < 32; by *= 2) value |= simd_shuffle_xor(value, ushort(by)) << (by * bits);
  if (bit % (32 / bits) == 0) to[bit * bits / 32] = value;
}

inline uint squares(uint word) {
  const float4 c = codes_of(word);
  return uint(dot(c, c));  // at most 4 * 128^2: exact
}

// Chunk c of y; zero beyond the row.
template <int METRIC>
inline float4 coordinates(constant CodingParams& p, device const float4* mean, thread const CodedRow& row,
                          device const float4* turned, uint c) {
  if (c >= p.chunks) return float4(0.0f);
  if (p.is_rotated != 0) return turned[c * 32];
  return centred<METRIC>(p, mean, row, c);
}

// In units of the norm.
inline float tail_of(uint squared, float scale, float norm) {
  return squared == 0 ? 0.0f : ceil(sqrt(float(squared)) * scale / norm);
}

// rotated: what `rotate` makes of the list's groups.
template <int METRIC, uint QUERIES, uint CAPACITY>
[[kernel]] void code(constant CodingParams& p [[buffer(0)]], device const float4* vectors [[buffer(1)]],
                     device const float* sides [[buffer(2)]], device const float4* basis [[buffer(3)]],
                     device const uint* groups [[buffer(4)]], device const float4* rotated [[buffer(5)]],
                     device uint* codes [[buffer(6)]], uint3 group [[threadgroup_position_in_grid]],
                     uint lane [[thread_index_in_threadgroup]]) {
  const uint index = group.x + group.y * p.grid_x;
  const uint place = index * TILE_GROUPS + (lane >> 5);
  if (index >= p.workgroups || p.list_begin + place >= p.list_end) return;
  const uint bit = lane & 31;
  const uint mine = groups[p.list_begin + place];
  const CodedRow row = coded_row<METRIC>(p, vectors, sides, mine, bit);
  device const float4* turned = rotated + ulong(place) * p.chunks * 32 + bit;
  const CodedSlab<METRIC> slab = {p.groups, p.levels, p.level_chunks};
  float4 most4 = float4(0.0f);
  for (uint c = 0; c < p.chunks; ++c)
    most4 = fmax(most4, fabs(coordinates<METRIC>(p, basis, row, turned, c)));
  const float most = fmax(fmax(most4.x, most4.y), fmax(most4.z, most4.w));
  // 1/127 and 2e-6 of it, for the rounding of the product; the upper half, rounded up.
  device uint* plane = codes + slab.sides(mine) / 4;
  const bool stays = p.codes_stay != 0;
  const uint scale =
      stays ? (plane[bit / 2] >> (bit % 2 * 16)) << 16
            : max((as_type<uint>(most * 0.00787403f) + 0xffffu) & 0xffff0000u, uint(LEAST_SCALE));
  // s = fraction 2^E, the fraction of 8 bits: its products with codes are exact, and so are the differences
  // from y 2^-E.
  const float fraction = as_type<float>((scale & 0x7fffffu) | 0x3f800000u);
  const float inverse = 1.0f / fraction;
  const float down = as_type<float>((254u - (scale >> 23)) << 23);

  uint total = 0;  // |c|^2
  uint head = 0;   // that of the first level
  float4 residual = float4(0.0f);
  float4 length = float4(0.0f);  // |x|^2, scaled
  for (uint l = 0; l < p.levels; ++l) {
    device uint* to = codes + slab.level(l, mine) / 4 + bit;
    for (uint k = 0; k < p.level_chunks; ++k) {
      const uint c = l * p.level_chunks + k;
      const float4 y = coordinates<METRIC>(p, basis, row, turned, c) * down;
      const float4 nearest =
          stays ? codes_of(to[k * 32]) : fmin(fmax(rint(y * inverse), float4(-127.0f)), float4(127.0f));
      const float4 rest = fma(float4(-fraction), nearest, y);
      residual = fma(rest, rest, residual);
      if (p.x_scale != 0.0f && c < p.chunks) {
        const float4 x = centred<METRIC>(p, basis, row, c) * down;
        length = fma(x, x, length);
      }
      const uint word = uint(int(nearest.x) + 128) | (uint(int(nearest.y) + 128) << 8) |
                        (uint(int(nearest.z) + 128) << 16) | (uint(int(nearest.w) + 128) << 24);
      total += squares(word);
      if (!stays) to[k * 32] = word;
    }
    if (l == 0) head = total;
  }
  const float root = sqrt(float(total));
  const float norm = floor(root * p.norm_scale);
  const float deviation = sqrt(sum_of(residual)) / fraction;
  const float distance = sqrt(sum_of(length)) / fraction;
  const float error = deviation * p.error_scale + distance * p.x_scale + p.error_room;
  // The first tail is the largest.
  const bool fits = error < 65535.0f && tail_of(total - head, p.tail_scale, norm) <= 255.0f &&
                    as_type<float>(scale) * (root + p.length_room) <= p.longest;

  const uint stored_error = fits ? uint(error) : uint(ALWAYS_KEEP);
  if (stays) {
    put_packed(plane + 2 * SIDE_PLANE_BYTES / 4, stored_error, 16, bit);
    return;
  }
  uint left = total;
  for (uint l = 0; l < p.levels; ++l) {
    device uint* at = codes + slab.level(l, mine) / 4 + bit;
    for (uint k = 0; k < p.level_chunks; ++k) {
      if (fits)
        left -= squares(at[k * 32]);
      else
        at[k * 32] = CODE_ZERO_WORD;
    }
    if (l + 1 < p.levels)
      put_packed(codes + slab.tails(l, mine) / 4, fits ? uint(tail_of(left, p.tail_scale, norm)) : 0u, 8,
                 bit);
  }
  put_packed(plane, (fits ? scale : uint(LEAST_SCALE)) >> 16, 16, bit);
  put_packed(plane + SIDE_PLANE_BYTES / 4, fits ? uint(norm) : 0u, 16, bit);
  put_packed(plane + 2 * SIDE_PLANE_BYTES / 4, stored_error, 16, bit);
  if (METRIC == POINCARE) {
    // alpha^(-1/2) and 2^-18 above it.
    const float beta = ceil(1.0f / sqrt(row.side) * (1.0000039f * BETA_UNITS));
    put_packed(plane + 3 * SIDE_PLANE_BYTES / 4, uint(fmin(beta, 65535.0f)), 16, bit);
  }
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_CODE_H
