// SPDX-License-Identifier: Apache-2.0
// Chains of products by a warpgroup, as unit_sums.cu has them by a warp. In no library.
#include "../kernels/wgmma.cuh"

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
namespace nearfield::cuda {

inline constexpr uint32_t kGroupThreads = 128, kGroupRows = 64, kGroupColumns = 256;
// Of a tile that is given; it stands as often as it fits.
inline constexpr uint32_t kGivenRows = 16, kGivenColumns = 8;

// A block has a tile: sums[64][256] = before[16][8] + a[16][8 steps] by b[8][8 steps], repeated.
extern "C" __global__ void __launch_bounds__(kGroupThreads)
    unit_sums_wgmma(uint32_t steps, const float4* a, const float4* b, const float* before, float* sums) {
  // Of a step: 16 bytes of each row, then the other 16.
  NF_SHARED(BulkLine, rows, 2 * kGroupRows / 8);
  NF_SHARED(BulkLine, columns, 2 * kGroupColumns / 8);
  const uint32_t tile = blockIdx.x, lane = threadIdx.x % kWarp;
  const auto row_of = [&](uint32_t i) { return threadIdx.x / kWarp * 16 + lane / 4 + i / 2 % 2 * 8; };
  const auto column_of = [&](uint32_t i) { return i / 4 * 8 + lane % 4 * 2 + i % 2; };
  float d[kWgmmaSums];
  NF_UNROLL
  for (uint32_t i = 0; i < kWgmmaSums; ++i)
    d[i] =
        before[(tile * kGivenRows + row_of(i) % kGivenRows) * kGivenColumns + column_of(i) % kGivenColumns];
  const uint64_t left = wgmma_operand(rows, kGroupRows * 16, sizeof(BulkLine));
  const uint64_t right = wgmma_operand(columns, kGroupColumns * 16, sizeof(BulkLine));
  NF_NO_UNROLL
  for (uint32_t step = 0; step < steps; ++step) {
    const auto put = [&](BulkLine* to, uint32_t count, const float4* from, uint32_t given) {
      for (uint32_t i = threadIdx.x; i < 2 * count; i += kGroupThreads)
        to[i / 8].pieces[i % 8] = from[((tile * given + i % count % given) * steps + step) * 2 + i / count];
    };
    put(rows, kGroupRows, a, kGivenRows);
    put(columns, kGroupColumns, b, kGivenColumns);
    async_proxy_fence();
    __syncthreads();
    wgmma_registers(d);
    wgmma_fence();
    wgmma_tf32(d, left, right, true);
    wgmma_commit();
    wgmma_wait<0>();
    wgmma_registers(d);
    __syncthreads();
  }
  NF_UNROLL
  for (uint32_t i = 0; i < kWgmmaSums; ++i)
    sums[(tile * kGroupRows + row_of(i)) * kGroupColumns + column_of(i)] = d[i];
}

}  // namespace nearfield::cuda
#endif
