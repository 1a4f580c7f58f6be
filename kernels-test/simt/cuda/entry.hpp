// SPDX-License-Identifier: Apache-2.0
// What the files of the emulated driver share: how a function is exported, and what it does when it is called
// wrongly.
#pragma once

#include <cstdio>
#include <string>

#include "device.hpp"
#include "driver.hpp"

#define NF_EXPORT __attribute__((visibility("default")))
#define NF_USABLE() \
  if (const Result usable = nearfield::simt::cuda::Device::get().usable(); usable != kSuccess) return usable

namespace nearfield::simt::cuda {

// A mistake that a device answers with an illegal address: the context is gone.
inline Result broken(const std::string& why) {
  std::fprintf(stderr, "emulated CUDA: %s\n", why.c_str());
  Device::get().lose(kLaunchFailed, why);
  return kLaunchFailed;
}

inline std::string range(const void* p, size_t bytes) {
  char text[64];
  std::snprintf(text, sizeof(text), "%zu bytes at %p", bytes, p);
  return text;
}

}  // namespace nearfield::simt::cuda
