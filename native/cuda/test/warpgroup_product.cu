// SPDX-License-Identifier: Apache-2.0
#include "warpgroup_product.cuh"

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
namespace nearfield::cuda {

extern "C" __global__ void __launch_bounds__(kProductThreads, 1)
    warpgroup_product_entry(const __grid_constant__ TensorMap rows, const __grid_constant__ TensorMap queries,
                            uint32_t chunks, float* out) {
  warpgroup_product<kRight>(rows, queries, chunks, out);
}

}  // namespace nearfield::cuda
#endif
