// SPDX-License-Identifier: Apache-2.0
// The one emulated GPU: what is current on a thread, whether its context still lives, host memory that is
// page-locked.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>

#include "control.hpp"
#include "driver.hpp"
#include "kernels.hpp"
#include "memory.hpp"

namespace nearfield::simt::cuda {

using nearfield::cuda::Result;

// CUresult, as far as the driver proper needs more than native/cuda/driver.hpp.
inline constexpr Result kInvalidValue = 1, kInvalidDevice = 101, kInvalidContext = 201, kInvalidImage = 200,
                        kInvalidHandle = 400, kNotFound = 500, kLaunchOutOfResources = 701,
                        kLaunchFailed = 719;

inline constexpr size_t kTotalBytes = size_t{4} << 30;

// Shared memory in bytes, as NVIDIA's programming guide has it by compute capability.
struct Shared {
  size_t of_block;  // that asks for it
  size_t of_multiprocessor, reserved;
};
Shared shared_of(int capability);
inline constexpr size_t kDeclaredShared = 48 << 10;  // of a block that does not ask

class Device {
 public:
  static Device& get();

  // kInvalidContext when no context is current; the error that ended the context, for good.
  Result usable();
  void retain() { change_references(1); }
  bool release() { return change_references(-1); }

  void lose(Result result, const std::string& why);
  // What cuGetErrorString says of `result` when it is the one that ended the context.
  const char* why_lost(Result result);

  void* allocate(size_t bytes);  // NULL: no room
  size_t total_bytes() const {
    return static_cast<size_t>(fault("memory", static_cast<int64_t>(kTotalBytes)));
  }

  // Launches of `kernel` may give this much shared memory: cuFuncSetAttribute.
  void allow(const Kernel* kernel, size_t given_bytes);
  size_t allowed(const Kernel* kernel);
  // What its blocks may have altogether: a kernel that asked may use all that a block can have.
  size_t shared_limit(const Kernel* kernel);

  void* lock_host(size_t bytes);
  bool unlock_host(void* memory);
  bool is_locked(const void* memory, size_t bytes);

 private:
  bool change_references(int by);

  std::mutex mutex_;
  int references_ = 0;
  Result lost_ = nearfield::cuda::kSuccess;
  std::string why_lost_;
  std::map<char*, size_t> locked_;
  std::map<const Kernel*, size_t> allowed_;
};

// The stack of current contexts of this thread.
void push_context();
bool pop_context();

}  // namespace nearfield::simt::cuda
