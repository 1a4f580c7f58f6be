// SPDX-License-Identifier: Apache-2.0
// Products of small matrices by the matrix units, one a warp: all 32 lanes call together. Fragments as PTX
// ISA, "Matrix Fragments for mma.m16n8k32" and "mma.m16n8k8" has them. With g = lane / 4, t = lane % 4:
//   d[0], d[1]  row g, columns 2t, 2t + 1;  d[2], d[3]  row g + 8.
//   int8, four k a register, lowest byte first: a[0], a[1]  rows g, g + 8, k = 4t ..; a[2], a[3]  the same
//   rows, k = 16 + 4t ..; b[0], b[1]  column g, k = 4t .. and 16 + 4t ...
//   TF32: a[0], a[1]  rows g, g + 8, k = t; a[2], a[3]  the same rows, k = t + 4; b[0], b[1]  column g,
//   k = t and t + 4.
#pragma once

#include "device.cuh"

namespace nearfield::cuda {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
// d += a b of 8 x 16 by 16 x 8: the unit of compute capability 7.5.
__device__ inline void mma_s8_half(int32_t& d0, int32_t& d1, uint32_t a, uint32_t b) {
  asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
               : "+r"(d0), "+r"(d1)
               : "r"(a), "r"(b));
}
#endif

// d += a b of int8, 16 x 32 by 32 x 8. Sums wrap.
__device__ inline void mma_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2] NF_SITE) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  mma_s8_half(d[0], d[1], a[0], b[0]);
  mma_s8_half(d[2], d[3], a[1], b[0]);
  mma_s8_half(d[0], d[1], a[2], b[1]);
  mma_s8_half(d[2], d[3], a[3], b[1]);
#elif defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  simt::mma_s8(d, a, b, where);
#endif
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
// d += a b of TF32, 16 x 8 by 8 x 8: of each operand the low 13 bits are ignored. common/tf32.hpp says what
// is known of the sums.
__device__ inline void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2] NF_SITE) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  simt::mma_tf32(d, a, b, where);
#endif
}

// To the nearest TF32, ties away from zero, as the f32 of that value: the low 13 bits are 0. NaN stays one.
__device__ inline uint32_t cvt_rna_tf32(float x) {
#ifdef __CUDACC__
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits & 0xffffe000u;  // they are not said to be 0
#else
  const uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7f800000u) == 0x7f800000u) return (bits & 0x7fffffu) != 0 ? 0x7fffe000u : bits;
  return (bits + 0x1000u) & 0xffffe000u;
#endif
}
#endif

}  // namespace nearfield::cuda
