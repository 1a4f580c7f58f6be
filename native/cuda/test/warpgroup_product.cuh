// SPDX-License-Identifier: Apache-2.0
// Products of 256 rows with 128 queries, both in tile32, by two warpgroups: a kernel that uses all of
// wgmma.cuh and bulk.cuh, and nothing else. nvcc compiles it for compute capability 9.0a, the emulator runs
// it, and what is planted in it must be found.
#pragma once

#include "wgmma.cuh"

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
namespace nearfield::cuda {

enum WarpgroupFault : int {
  kRight,
  kWaitForOtherParity,  // for the phase before
  kNoWaitForCopy,
  kTooFewBytes,      // expected
  kTooManyBytes,     // the same
  kCopyIntoOperand,  // the next copy goes where products still read
  kNoFence,          // between the registers' last use and a product
  kUseBeforeWait,    // of the sums
  kStridesSwapped,   // of an operand
  kNextChunk,        // of an operand
  kOtherRows,        // of an operand, in one warp
  kNoProductOfOneWarp,
  kCopyToOddPlace,
  kNoBarrierMade,
  kSumsOfNextLane,
  kAddsToOlder,  // the first product, to what was in the registers
};

inline constexpr uint32_t kProductThreads = 256, kProductRows = kBoxRows, kProductQueries = 128;
inline constexpr uint32_t kQueryGroups = kProductQueries / 32, kQueryChunkBytes = kProductQueries * 16;
inline constexpr uint32_t kQueryBytes = kQueryChunkBytes * kBoxChunks;
inline constexpr uint32_t kProductBytes =
    2 * (kBoxBytes + kQueryBytes);  // of shared memory, given by the launch

// out[row * 128 + query]; maps of boxes of 8 groups and of 4 groups.
template <int FAULT>
__device__ inline void warpgroup_product(const TensorMap& rows, const TensorMap& queries, uint32_t chunks,
                                         float* out) {
  NF_DYNAMIC_SHARED(BulkLine, stages);
  NF_SHARED(uint64_t, full, 2);
  constexpr uint32_t row_lines = kBoxBytes / sizeof(BulkLine), query_lines = kQueryBytes / sizeof(BulkLine);
  if (threadIdx.x == 0 && FAULT != kNoBarrierMade) {
    mbarrier_init(&full[0], 1);
    mbarrier_init(&full[1], 1);
    mbarriers_made();
  }
  __syncthreads();
  const uint32_t steps = (chunks + kBoxChunks - 1) / kBoxChunks;
  const auto load = [&](uint32_t step) {
    if (threadIdx.x != 0 || step >= steps) return;
    constexpr int bytes = kBoxBytes + kQueryBytes +
                          (FAULT == kTooFewBytes    ? -16
                           : FAULT == kTooManyBytes ? 16
                                                    : 0);
    BulkLine* const to = stages + (step & 1) * (row_lines + query_lines);
    const auto chunk = static_cast<int32_t>(step * kBoxChunks);
    mbarrier_expect(&full[step & 1], bytes);
    bulk_copy(FAULT == kCopyToOddPlace ? &to->pieces[1] : to->pieces, rows, 0, blockIdx.x * kBoxGroups, chunk,
              &full[step & 1]);
    bulk_copy(to + row_lines, queries, 0, 0, chunk, &full[step & 1]);
  };
  float sums[kWgmmaSums];
  NF_UNROLL
  for (uint32_t i = 0; i < kWgmmaSums; ++i) sums[i] = FAULT == kAddsToOlder ? 1.0f : 0.0f;
  const uint32_t group = threadIdx.x / 128;
  load(0);
  for (uint32_t step = 0; step < steps; ++step) {
    if (FAULT != kCopyIntoOperand || step == 0) load(step + 1);
    if (FAULT != kNoWaitForCopy)
      mbarrier_wait(&full[step & 1], (step / 2 + (FAULT == kWaitForOtherParity)) & 1);
    const BulkLine* const stage = stages + (step & 1) * (row_lines + query_lines);
    constexpr uint32_t along_k = FAULT == kStridesSwapped ? kCoreMatrixBytes : kBoxChunkBytes;
    constexpr uint32_t along_rows = FAULT == kStridesSwapped ? kBoxChunkBytes : kCoreMatrixBytes;
    uint32_t first = group * 8;  // lines of 8 queries
    if (FAULT == kOtherRows && threadIdx.x / 32 == 1) first ^= 8;
    uint64_t a = wgmma_operand(stage + row_lines + first, kQueryChunkBytes, kCoreMatrixBytes);
    uint64_t b = wgmma_operand(stage, along_k, along_rows);
    if (FAULT == kNextChunk) b += kBoxChunkBytes / 16;
    wgmma_registers(sums);
    if (FAULT != kNoFence || step == 0) wgmma_fence();
    NF_UNROLL
    for (uint32_t k = 0; k < kBoxChunks - (FAULT == kNextChunk ? 2 : 0); k += 2) {
      if (FAULT != kNoProductOfOneWarp || k != 0 || threadIdx.x / 32 != 5)
        wgmma_tf32(sums, a, b, step != 0 || k != 0 || FAULT == kAddsToOlder);
      a += 2 * kQueryChunkBytes / 16;
      b += 2 * kBoxChunkBytes / 16;
    }
    wgmma_commit();
    if (FAULT == kCopyIntoOperand) load(step + 2);
    if (FAULT != kUseBeforeWait) wgmma_wait<0>();
    wgmma_registers(sums);
    __syncthreads();  // the next copy overwrites this stage
  }
  const uint32_t warp = threadIdx.x % 128 / 32, lane = (threadIdx.x + (FAULT == kSumsOfNextLane)) % 32;
  NF_UNROLL
  for (uint32_t i = 0; i < kWgmmaSums; ++i) {
    const uint32_t row = blockIdx.x * kProductRows + i / 4 * 8 + lane % 4 * 2 + i % 2;
    out[row * kProductQueries + group * 64 + warp * 16 + lane / 4 + i / 2 % 2 * 8] = sums[i];
  }
}

}  // namespace nearfield::cuda
#endif
