// SPDX-License-Identifier: Apache-2.0
// Bulk tensor copies and the mbarriers that count them, of compute capability 9.0. One thread starts a copy,
// whoever reads its target waits:
//   thread 0: mbarrier_init(&full, 1); mbarriers_made();      all: __syncthreads()
//   thread 0: mbarrier_expect(&full, kBoxBytes); bulk_copy(target, map, 0, group, chunk, &full);
//   all: mbarrier_wait(&full, parity), parity 0 the first time, then 1, 0 ...
// A target that threads have written or read is theirs until a barrier;
// what they wrote and a copy or wgmma is to see needs async_proxy_fence() by each of them before that
// barrier.
#pragma once

#include "device.cuh"
#include "tensor_map.h"

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
namespace nearfield::cuda {

// Shared memory that a copy may begin at.
struct alignas(128) BulkLine {
  float4 pieces[8];
};

#ifdef __CUDACC__
__device__ inline uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}
#endif

// A phase ends when `arrivals` threads have arrived and all bytes that they expect.
__device__ inline void mbarrier_init(uint64_t* barrier, uint32_t arrivals NF_SITE) {
#ifdef __CUDACC__
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals)
               : "memory");
#else
  simt::mbarrier_init(barrier, arrivals, where);
#endif
}

// After the first mbarrier_init, by the same thread and before a barrier of the block: copies see them too.
__device__ inline void mbarriers_made() {
#ifdef __CUDACC__
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

__device__ inline void mbarrier_arrive(uint64_t* barrier NF_SITE) {
#ifdef __CUDACC__
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
#else
  simt::mbarrier_arrive(barrier, 0, where);
#endif
}

// Arrives; `bytes` more are to come in this phase, at most 2^20 - 1 in all.
__device__ inline void mbarrier_expect(uint64_t* barrier, uint32_t bytes NF_SITE) {
#ifdef __CUDACC__
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(bytes)
               : "memory");
#else
  simt::mbarrier_arrive(barrier, bytes, where);
#endif
}

// Until the phase of this parity has ended: 0 is the first one's.
__device__ inline void mbarrier_wait(uint64_t* barrier, uint32_t parity NF_SITE) {
#ifdef __CUDACC__
  uint32_t ended;
  do {
    asm volatile(
        "{\n"
        ".reg .pred ended;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 ended, [%1], %2;\n"
        "selp.u32 %0, 1, 0, ended;\n"
        "}"
        : "=r"(ended)
        : "r"(shared_address(barrier)), "r"(parity)
        : "memory");
  } while (ended == 0);
#else
  simt::mbarrier_wait(barrier, parity, where);
#endif
}

// The box of `map` that begins at element (x, y, z). All of its bytes count, those outside of the tensor,
// which become 0, too.
__device__ inline void bulk_copy(void* to, const TensorMap& map, int32_t x, int32_t y, int32_t z,
                                 uint64_t* barrier NF_SITE) {
#ifdef __CUDACC__
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3, %4}], [%5];" ::"r"(shared_address(to)),
      "l"(&map), "r"(x), "r"(y), "r"(z), "r"(shared_address(barrier))
      : "memory");
#else
  simt::bulk_tensor_copy(to, &map, {x, y, z}, barrier, where);
#endif
}

// What this thread wrote to shared memory, copies and wgmma see after the next barrier.
__device__ inline void async_proxy_fence() {
#ifdef __CUDACC__
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

}  // namespace nearfield::cuda
#endif
