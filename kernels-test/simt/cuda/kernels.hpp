// SPDX-License-Identifier: Apache-2.0
// The CUDA kernels of native/cuda/kernels by name, callable on a fiber.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace nearfield::simt::cuda {

struct Kernel {
  const char* name;                     // flat_m1_q4_c256
  std::vector<size_t> sizes;            // bytes of each argument
  std::vector<bool> pointers;           // whether it is one
  void (*run)(void* const* arguments);  // one thread of it
};

const Kernel* find_kernel(const std::string& name);

}  // namespace nearfield::simt::cuda
