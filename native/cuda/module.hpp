// SPDX-License-Identifier: Apache-2.0
// The kernels in a device's memory, looked up by name and variant.
#pragma once

#include <map>
#include <string>

#include "driver.hpp"
#include "gpu/queue.hpp"

namespace nearfield::cuda {

struct Function {
  FunctionHandle handle = nullptr;
  uint32_t threads = 0;       // of a block
  uint32_t given_bytes = 0;   // of shared memory, by the launch
  mutable bool used = false;  // drivers load code at the first launch
};

// "flat_m1_q4_c256": the entry point of a kernel's variant; constants that the kernel has no use for are 1.
std::string entry_name(const gpu::Kernel& kernel, const gpu::Variant& variant);
// Threads of its blocks; 0 for a kernel that does not exist.
uint32_t block_threads(const gpu::Kernel& kernel, const gpu::Variant& variant);

class Module {
 public:
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // The context is current, here and in the other methods.
  Status load(const Driver& driver, const Gpu& gpu);
  void unload(const Driver& driver);
  bool has_warpgroups() const { return image_ != nullptr && image_->is_exact; }
  Status get(const Driver& driver, const Gpu& gpu, const gpu::Kernel& kernel, const gpu::Variant& variant,
             const Function** out);

 private:
  ModuleHandle handle_ = nullptr;
  const Image* image_ = nullptr;  // of the GPU's
  std::map<std::string, Function> functions_;
};

}  // namespace nearfield::cuda
