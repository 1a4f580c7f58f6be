// SPDX-License-Identifier: Apache-2.0
// What a matrix unit sees of rows as TF32, and what it does not see (kernel_params.h: ResidualParams): a
// group a warp, a row a lane.
#pragma once

#include "mma.cuh"
#include "shapes.h"

namespace nearfield::cuda {

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
// `scale`: of a row of cosine, else 1, by which everything is exact.
struct ResidualSums {
  float4 squares{0, 0, 0, 0}, rests{0, 0, 0, 0};

  // Returns x.
  __device__ inline float4 add(const ResidualParams& p, const float4& v, float scale) {
    float4 x;
    const auto element = [&](float from, float* to, float* square, float* rest) {
      *to = p.is_query != 0 ? __uint_as_float(cvt_rna_tf32(from))
                            : __uint_as_float(__float_as_uint(from) & ~kTf32Ignored);
      const float seen = __fmul_rn(*to, scale), r = __fmul_rn(__fsub_rn(from, *to), scale);
      *square = __fmaf_rn(seen, seen, *square);
      *rest = __fmaf_rn(r, r, *rest);
    };
    element(v.x, &x.x, &squares.x, &rests.x);
    element(v.y, &x.y, &squares.y, &rests.y);
    element(v.z, &x.z, &squares.z, &rests.z);
    element(v.w, &x.w, &squares.w, &rests.w);
    return x;
  }

  __device__ inline Tf32Values values(const ResidualParams& p) const {
    const auto root = [](const float4& s) {
      return sqrtf(__fadd_rn(__fadd_rn(s.x, s.z), __fadd_rn(s.y, s.w)));
    };
    const float norm = root(squares);
    return {norm, __fmaf_rn(root(rests), p.error_scale, __fmaf_rn(norm, p.norm_scale, p.error_room))};
  }
};

__device__ inline void residual(const ResidualParams& p, const float4* vectors, const float* sides,
                                const uint32_t* groups, Tf32Values* values, float* rounded) {
  const uint32_t block = blockIdx.x + blockIdx.y * p.grid_x;
  const uint32_t place = block * (kLaneThreads / kWarp) + threadIdx.x / kWarp, bit = threadIdx.x % kWarp;
  if (block >= p.workgroups || place >= p.list_count) return;
  const uint32_t group = groups[place];
  const uint64_t first = static_cast<uint64_t>(group) * p.chunks * kWarp + bit;
  const float scale = p.has_side != 0 ? sides[group * kWarp + bit] : 1.0f;
  ResidualSums sums;
  for (uint32_t c = 0; c < p.chunks; ++c) {
    const float4 x = sums.add(p, vectors[first + c * kWarp], scale);
    if (p.is_query == 0) continue;
    if (p.is_query == NEARFIELD_QUERY_TILES) {
      reinterpret_cast<float4*>(rounded)[first + c * kWarp] = x;
      continue;
    }
    // The place of its first element; those of the queries g and g + 8 alternate.
    float* const to = rounded + (first - bit + c * kWarp + bit / 16 * 16 + bit % 8) * 4 + bit / 8 % 2;
    to[0] = x.x, to[2] = x.y;
    to[8 * 4] = x.z, to[8 * 4 + 2] = x.w;
  }
  values[group * kWarp + bit] = sums.values(p);
}
#endif

}  // namespace nearfield::cuda
