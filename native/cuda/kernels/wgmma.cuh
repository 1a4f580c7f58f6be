// SPDX-License-Identifier: Apache-2.0
// Products of matrices by a warpgroup, 128 threads of four consecutive warps, of compute capability 9.0a:
// 64 x 8 by 8 x 256 in TF32, both operands in shared memory. All 128 threads call together, with the same
// operands:
//   wgmma_registers(d); wgmma_fence();
//   wgmma_tf32(d, a, b, true) ...; wgmma_commit();
//   wgmma_wait<0>(); wgmma_registers(d);
// PTX ISA, "Register Fragments" of wgmma.mma_async.m64nN: with w the warp of the warpgroup, g = lane / 4,
// t = lane % 4, the sum d[4 j + 2 h + i] is that of row 16 w + g + 8 h and column 8 j + 2 t + i.
#pragma once

#include "bulk.cuh"

// The PTX of compute_90a only: PTX that later GPUs compile has none of it.
#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
namespace nearfield::cuda {

inline constexpr uint32_t kWarpgroup = 128;
inline constexpr uint32_t kWgmmaSums = 128;  // of a thread: 64 x 256 by 128 threads

// An operand: rows (columns of B) of which 16 bytes along k, four TF32, lie together, eight of them one after
// the other. `along_k` bytes further lies the next piece of the same row, `along_rows` bytes further the next
// eight rows. Not swizzled.
__device__ inline uint64_t wgmma_operand(const void* first, uint32_t along_k, uint32_t along_rows NF_SITE) {
#ifdef __CUDACC__
  const uint32_t start = shared_address(first);
#else
  const uint32_t start = simt::shared_address(first, where);
#endif
  return static_cast<uint64_t>((start & 0x3ffff) >> 4) | static_cast<uint64_t>(along_k >> 4) << 16 |
         static_cast<uint64_t>(along_rows >> 4) << 32;
}

// The compiler must know that products change registers behind its back: before the first one, and after the
// wait. They have a value before the first one: ptxas 12.3 makes products wait for each other otherwise.
__device__ inline void wgmma_registers(float (&d)[kWgmmaSums] NF_SITE) {
#ifdef __CUDACC__
  NF_UNROLL
  for (uint32_t i = 0; i < kWgmmaSums; ++i) asm volatile("" : "+f"(d[i])::"memory");
#else
  simt::wgmma_registers(d, where);
#endif
}

// Orders what threads did with registers before what products do with them.
__device__ inline void wgmma_fence(NF_SITE_ALONE) {
#ifdef __CUDACC__
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#else
  simt::wgmma_fence(where);
#endif
}

#ifdef __CUDACC__
#define NF_WGMMA_4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define NF_WGMMA_16(i) NF_WGMMA_4(i), NF_WGMMA_4(i + 4), NF_WGMMA_4(i + 8), NF_WGMMA_4(i + 12)
#endif

// d += a b, or d = a b. The low 13 bits of elements are ignored; common/tf32.hpp says what is known of the
// sums. In flight until waited for: neither d nor the operands may be touched.
__device__ inline void wgmma_tf32(float (&d)[kWgmmaSums], uint64_t a, uint64_t b, bool adds NF_SITE) {
#ifdef __CUDACC__
  asm volatile(
      "{\n"
      ".reg .pred adds;\n"
      "setp.ne.u32 adds, %130, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n256k8.f32.tf32.tf32 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
      "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
      "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
      "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "
      "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
      "}, %128, %129, adds, 1, 1;\n"
      "}"
      : NF_WGMMA_16(0), NF_WGMMA_16(16), NF_WGMMA_16(32), NF_WGMMA_16(48), NF_WGMMA_16(64), NF_WGMMA_16(80),
        NF_WGMMA_16(96), NF_WGMMA_16(112)
      : "l"(a), "l"(b), "r"(static_cast<uint32_t>(adds))
      : "memory");
#else
  simt::wgmma_tf32(d, a, b, adds, where);
#endif
}

#ifdef __CUDACC__
#undef NF_WGMMA_4
#undef NF_WGMMA_16
#endif

// Registers of each thread of a warpgroup from here on, a multiple of 8; all 128 call together. A block that
// is launched with as many as there are for all its threads can move some from one warpgroup to others.
template <uint32_t COUNT>
__device__ inline void keep_registers() {
#ifdef __CUDACC__
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
#endif
}
template <uint32_t COUNT>
__device__ inline void take_registers() {
#ifdef __CUDACC__
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
#endif
}

// Closes a group: the products since the one before.
__device__ inline void wgmma_commit(NF_SITE_ALONE) {
#ifdef __CUDACC__
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#else
  simt::wgmma_commit(where);
#endif
}

// Waits for all groups but the newest LEFT.
template <uint32_t LEFT>
__device__ inline void wgmma_wait(NF_SITE_ALONE) {
#ifdef __CUDACC__
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
#else
  simt::wgmma_wait(LEFT, where);
#endif
}

}  // namespace nearfield::cuda
#endif
