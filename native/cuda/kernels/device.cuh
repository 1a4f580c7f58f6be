// SPDX-License-Identifier: Apache-2.0
// What the kernels use beyond the common CUDA subset, in thin wrappers. Each has a host form, taken when no
// CUDA compiler reads this file: kernels-test/simt runs the kernels there, after its own cuda_dialect.hpp.
#pragma once

#include "kernel_params.h"
#include "tf32.hpp"

#ifdef __CUDACC__
// An array of the block; the emulator has its own definition.
#define NF_SHARED(T, name, n) __shared__ T name[n]
// What the launch gives beside them.
#define NF_DYNAMIC_SHARED(T, name) extern __shared__ T name[]
#define NF_UNROLL _Pragma("unroll")
#define NF_NO_UNROLL _Pragma("unroll 1")
#define NF_SITE
#define NF_SITE_ALONE
#else
#define NF_UNROLL
#define NF_NO_UNROLL
// A last parameter: where the kernel calls. Lanes that meet must meet at one place.
#define NF_SITE , NF_SITE_ALONE
#define NF_SITE_ALONE simt::Site where = simt::Site::current()
#endif

namespace nearfield::cuda {

inline constexpr uint32_t kWarp = 32;  // also the rows of a group
inline constexpr uint32_t kTf32Ignored =
    (1u << kTf32DroppedBits) - 1;  // of an f32 that a unit takes for TF32

// 16 bytes that this launch reads once: they stay out of L1, which holds the queries.
__device__ inline float4 load_stream(const float4* from) {
#ifdef __CUDACC__
  float4 v;
  asm("ld.global.nc.L1::no_allocate.v4.f32 {%0, %1, %2, %3}, [%4];"
      : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
      : "l"(from));
  return v;
#else
  return *from;
#endif
}

// The same for a word.
__device__ inline uint32_t load_stream(const uint32_t* from) {
#ifdef __CUDACC__
  uint32_t v;
  asm("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(v) : "l"(from));
  return v;
#else
  return *from;
#endif
}

// A word that other blocks change by atomics meanwhile: any value it ever had will do.
__device__ inline uint32_t load_relaxed(const uint32_t* from) {
#ifdef __CUDACC__
  uint32_t v;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(from) : "memory");
  return v;
#else
  return __atomic_load_n(from, __ATOMIC_RELAXED);
#endif
}

// 16 bytes from global to shared memory; zeros when `valid` is false, `from` is not read then. Seen by the
// block after a wait for them by the thread that copies, and a barrier.
__device__ inline void copy_async(float4* to, const float4* from, bool valid) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                   static_cast<uint32_t>(__cvta_generic_to_shared(to))),
               "l"(from), "r"(valid ? 16 : 0)
               : "memory");
#elif defined(__CUDACC__)
  *to = valid ? *from : float4{0, 0, 0, 0};
#else  // nothing arrives before the wait there either
  simt::copy_async(to, valid ? from : nullptr, sizeof(*to));
#endif
}
// Closes a group: the copies since the one before.
__device__ inline void copies_commit() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#elif !defined(__CUDACC__)
  simt::copy_async_commit();
#endif
}
// Waits for all groups but the newest LEFT.
template <uint32_t LEFT>
__device__ inline void copies_wait() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
#elif !defined(__CUDACC__)
  simt::copy_async_wait(LEFT);
#endif
}
// Waits for all copies, in groups or not.
__device__ inline void copies_done() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_all;" ::: "memory");
#elif !defined(__CUDACC__)
  simt::copy_async_commit();
  simt::copy_async_wait(0);
#endif
}

}  // namespace nearfield::cuda
