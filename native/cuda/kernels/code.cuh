// SPDX-License-Identifier: Apache-2.0
// int8 codes of whole groups with their side values (code_layout.hpp), a group a warp, a row a lane. What
// rounds has its room in the scales that the host gives (gpu/coding.cpp).
#pragma once

#include "coded.cuh"
#include "shapes.h"

namespace nearfield::cuda {

inline constexpr uint32_t kLeastScale = 27u << 23;  // 2^-100
inline constexpr float kBetaUnits = 65500;          // of 1

// A row's values of BITS bits, from the whole warp.
template <uint32_t BITS>
__device__ inline void put_packed(uint8_t* to, uint32_t value, uint32_t lane) {
  NF_UNROLL
  for (uint32_t by = 1; by * BITS < 32; by *= 2)
    value |= __shfl_xor_sync(~0u, value, static_cast<int>(by)) << (by * BITS);
  if (lane % (32 / BITS) == 0) reinterpret_cast<uint32_t*>(to)[lane * BITS / 32] = value;
}

__device__ inline int squares(uint32_t word, int sum) {
  const int codes = static_cast<int>(word ^ kSignFlips);
  return __dp4a(codes, codes, sum);
}

// What remains of y beside c, its square added to *rest. All of it scaled.
__device__ inline void add_rest(float y, float c, float fraction, float* rest) {
  const float r = __fmaf_rn(-c, fraction, y);
  *rest = __fmaf_rn(r, r, *rest);
}

// y / s as an integer, of 128 more.
__device__ inline uint32_t code_of(float y, float fraction, float inverse, float* rest) {
  const float c = fminf(fmaxf(rintf(__fmul_rn(y, inverse)), -127.0f), 127.0f);
  add_rest(y, c, fraction, rest);
  return static_cast<uint32_t>(__float2int_rn(c) + 128);
}

// Those of a chunk; with `stays` the codes are what `word` has.
__device__ inline uint32_t code_chunk(const float4& y, float fraction, float inverse, bool stays,
                                      uint32_t word, float4* rest) {
  if (!stays)
    return code_of(y.x, fraction, inverse, &rest->x) | code_of(y.y, fraction, inverse, &rest->y) << 8 |
           code_of(y.z, fraction, inverse, &rest->z) << 16 | code_of(y.w, fraction, inverse, &rest->w) << 24;
  const auto code = [&](uint32_t i) { return __int2float_rn(static_cast<int>(word >> (8 * i) & 255) - 128); };
  add_rest(y.x, code(0), fraction, &rest->x);
  add_rest(y.y, code(1), fraction, &rest->y);
  add_rest(y.z, code(2), fraction, &rest->z);
  add_rest(y.w, code(3), fraction, &rest->w);
  return word;
}

template <int METRIC>
__device__ inline void code(const CodingParams& p, const float4* vectors, const float* sides,
                            const float4* basis, const uint32_t* groups, const float4* rotated,
                            uint8_t* codes) {
  const uint32_t block = blockIdx.x + blockIdx.y * p.grid_x;
  const uint32_t place = block * (kLaneThreads / kWarp) + threadIdx.x / kWarp;
  if (block >= p.workgroups || p.list_begin + place >= p.list_end) return;
  const uint32_t bit = threadIdx.x % kWarp, group = groups[p.list_begin + place];
  const CodedRow<METRIC> row(p, vectors, sides, basis, group, bit);
  const float4* turned = rotated + static_cast<uint64_t>(place) * p.chunks * kWarp + bit;
  const CodedSlab<METRIC, uint8_t> slab{codes, p.groups, p.levels, p.level_chunks};
  // Chunk c of y, zero beyond the row.
  const auto coordinates = [&](uint32_t c) {
    if (c >= p.chunks) return float4{0, 0, 0, 0};
    return p.is_rotated != 0 ? turned[c * kWarp] : row.centred(c);
  };
  float most = 0;
  for (uint32_t c = 0; c < p.chunks; ++c) {
    const float4 y = coordinates(c);
    most = fmaxf(most, fmaxf(fmaxf(fabsf(y.x), fabsf(y.y)), fmaxf(fabsf(y.z), fabsf(y.w))));
  }
  // 1/127 and 2e-6 of it, for the rounding of the product; the upper half, rounded up.
  const uint32_t rounded = (__float_as_uint(__fmul_rn(most, 0.00787403f)) + 0xffff) & 0xffff0000;
  uint8_t* const plane = slab.sides(group);
  const uint32_t scale = p.codes_stay != 0 ? uint32_t{reinterpret_cast<const uint16_t*>(plane)[bit]} << 16
                         : rounded > kLeastScale ? rounded
                                                 : kLeastScale;
  // s = fraction 2^E, the fraction of 8 bits: its products with codes are exact, and so are the differences
  // from y 2^-E.
  const float fraction = __uint_as_float((scale & 0x7fffff) | 0x3f800000);
  const float inverse = 1.0f / fraction, down = __uint_as_float((254 - (scale >> 23)) << 23);

  int total = 0, head = 0;  // |c|^2, that of the first level
  float4 rest{0, 0, 0, 0};  // squares of y / s - c
  float4 length{0, 0, 0, 0};
  for (uint32_t l = 0; l < p.levels; ++l) {
    auto* const to = reinterpret_cast<uint32_t*>(slab.level(l, group)) + bit;
    for (uint32_t k = 0; k < p.level_chunks; ++k) {
      const uint32_t c = l * p.level_chunks + k;
      const float4 y = coordinates(c);
      const float4 small{__fmul_rn(y.x, down), __fmul_rn(y.y, down), __fmul_rn(y.z, down),
                         __fmul_rn(y.w, down)};
      const bool stays = p.codes_stay != 0;
      const uint32_t word = code_chunk(small, fraction, inverse, stays, stays ? to[k * kWarp] : 0, &rest);
      if (p.x_scale != 0 && c < p.chunks) {
        const float4 x = row.centred(c);
        const float4 scaled{__fmul_rn(x.x, down), __fmul_rn(x.y, down), __fmul_rn(x.z, down),
                            __fmul_rn(x.w, down)};
        accumulate<kDot>(scaled, scaled, 0, &length);
      }
      total = squares(word, total);
      if (!stays) to[k * kWarp] = word;
    }
    if (l == 0) head = total;
  }
  const float root = sqrtf(__int2float_rn(total));
  const float norm = floorf(__fmul_rn(root, p.norm_scale));
  const float deviation = sqrtf(sum_of(rest)) / fraction, distance = sqrtf(sum_of(length)) / fraction;
  const float error = __fmaf_rn(deviation, p.error_scale, __fmaf_rn(distance, p.x_scale, p.error_room));
  // In units of the norm.
  const auto tail_of = [&](int squared) {
    return squared == 0 ? 0.0f : ceilf(__fmul_rn(sqrtf(__int2float_rn(squared)), p.tail_scale) / norm);
  };
  // The first tail is the largest.
  const bool fits = error < static_cast<float>(kAlwaysKeep) && tail_of(total - head) <= 255.0f &&
                    __fmul_rn(__uint_as_float(scale), __fadd_rn(root, p.length_room)) <= p.longest;

  const auto integer = [](float value) { return static_cast<uint32_t>(__float2int_rn(value)); };
  const uint32_t stored_error = fits ? integer(floorf(error)) : kAlwaysKeep;
  if (p.codes_stay != 0) {
    put_packed<16>(plane + 2 * kSidePlaneBytes, stored_error, bit);
    return;
  }
  int left = total;
  for (uint32_t l = 0; l < p.levels; ++l) {
    auto* const at = reinterpret_cast<uint32_t*>(slab.level(l, group)) + bit;
    for (uint32_t k = 0; k < p.level_chunks; ++k) {
      if (fits)
        left -= squares(at[k * kWarp], 0);
      else
        at[k * kWarp] = kSignFlips;
    }
    if (l + 1 < p.levels)
      put_packed<8>(slab.tails(l, group), fits ? static_cast<uint32_t>(__float2int_rn(tail_of(left))) : 0,
                    bit);
  }
  put_packed<16>(plane, (fits ? scale : kLeastScale) >> 16, bit);
  put_packed<16>(plane + kSidePlaneBytes, fits ? integer(norm) : 0, bit);
  put_packed<16>(plane + 2 * kSidePlaneBytes, stored_error, bit);
  if (METRIC == kPoincare) {
    // alpha^(-1/2) and 2^-18 above it.
    const float beta = ceilf(__fmul_rn(1.0f / sqrtf(row.side), 1.0000039f * kBetaUnits));
    put_packed<16>(plane + 3 * kSidePlaneBytes, integer(fminf(beta, 65535.0f)), bit);
  }
}

}  // namespace nearfield::cuda
