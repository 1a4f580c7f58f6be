// SPDX-License-Identifier: Apache-2.0
// Which kernels serve a search, by what the GPU has: multiprocessors and shared memory.
#pragma once

#include "driver.hpp"
#include "gpu/queue.hpp"

namespace nearfield::cuda {

// Largest k of a list; beyond it: radix selection.
inline constexpr int32_t kMostListK = 2048;

gpu::FlatShape flat_shape(const Gpu& gpu, int64_t batch, int32_t k);
gpu::MatrixShape matrix_shape(int32_t metric, int64_t batch, int32_t k);
gpu::CodedProductShape coded_product_shape(int64_t batch, int32_t k);
// Matrix units take TF32 from here on.
inline constexpr int kTf32Capability = 80;
gpu::CodedProductShape tf32_shape(const Gpu& gpu, int32_t k, bool by_warpgroups);
// Shared memory that the launch of a kernel gives beside what the kernel declares.
uint32_t given_bytes(const gpu::Kernel& kernel, const gpu::Variant& variant);
// Blocks of histogram and collect that fill the GPU.
uint32_t radix_workgroups(const Gpu& gpu);

}  // namespace nearfield::cuda
