// SPDX-License-Identifier: Apache-2.0
// The MSL kernels of native/metal/kernels by name, callable on a fiber.
#pragma once

#include <cstddef>
#include <string>

namespace nearfield::simt::metal {

struct Kernel {
  const char* name;  // flat_m1_q4_c256
  size_t params_bytes;
  size_t buffers;
  // One thread of it: buffer(0) and the buffers behind it.
  void (*run)(const void* params, void* const* buffers);
};

const Kernel* find_kernel(const std::string& name);

}  // namespace nearfield::simt::metal
