// SPDX-License-Identifier: Apache-2.0
// Chains of products by the wrappers of the matrix units, with operands and sums in plain matrices: what
// `prove` measures the rounding of sums with. In no library; the emulated driver has it, too.
#include "../kernels/mma.cuh"

namespace nearfield::cuda {

inline constexpr uint32_t kUnitRows = 16, kUnitColumns = 8;
inline constexpr uint32_t kUnitWords = 8;  // of a row along k in a product: of TF32 8 elements, of int8 32

// A block of a warp has a tile: sums = before + a b, a[16][8 steps] by b[8][8 steps], words along k.
template <class Sum, class Multiply>
__device__ inline void unit_sums(uint32_t steps, const uint32_t* a, const uint32_t* b, const Sum* before,
                                 Sum* sums, const Multiply& multiply) {
  const uint32_t width = kUnitWords * steps, lane = threadIdx.x % kWarp, g = lane / 4, t = lane % 4;
  const uint32_t* const left = a + (blockIdx.x * kUnitRows + g) * width + t;
  const uint32_t* const right = b + (blockIdx.x * kUnitColumns + g) * width + t;
  const uint32_t first = (blockIdx.x * kUnitRows + g) * kUnitColumns + 2 * t,
                 second = first + 8 * kUnitColumns;
  Sum d[4] = {before[first], before[first + 1], before[second], before[second + 1]};
  NF_NO_UNROLL
  for (uint32_t at = 0; at < width; at += kUnitWords) {
    const uint32_t rows[4] = {left[at], left[at + 8 * width], left[at + 4], left[at + 8 * width + 4]};
    const uint32_t columns[2] = {right[at], right[at + 4]};
    multiply(d, rows, columns);
  }
  sums[first] = d[0];
  sums[first + 1] = d[1];
  sums[second] = d[2];
  sums[second + 1] = d[3];
}

extern "C" __global__ void __launch_bounds__(kWarp)
    unit_sums_tf32(uint32_t steps, const uint32_t* a, const uint32_t* b, const float* before, float* sums) {
  unit_sums(steps, a, b, before, sums,
            [](float(&d)[4], const uint32_t(&rows)[4], const uint32_t(&columns)[2]) {
              mma_tf32(d, rows, columns);
            });
}

extern "C" __global__ void __launch_bounds__(kWarp)
    unit_sums_s8(uint32_t steps, const uint32_t* a, const uint32_t* b, const int32_t* before, int32_t* sums) {
  unit_sums(steps, a, b, before, sums,
            [](int32_t(&d)[4], const uint32_t(&rows)[4], const uint32_t(&columns)[2]) {
              mma_s8(d, rows, columns);
            });
}

// What the certificate of TF32 counts on: common/tf32.hpp.
extern "C" __global__ void unit_sums_assumed(int32_t* out) {
  if (threadIdx.x != 0) return;
  out[0] = kTf32DroppedBits;
  out[1] = kTf32Block;
  out[2] = kTf32KeptBits;
}

}  // namespace nearfield::cuda
