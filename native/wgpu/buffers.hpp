// SPDX-License-Identifier: Apache-2.0
// What gpu::Buffers of this backend are.
#pragma once

#include "gpu/queue.hpp"
#include "symbols.hpp"

namespace nearfield::wgpu {

// A buffer, destroyed with its owner.
class DeviceMemory final : public gpu::Memory {
 public:
  DeviceMemory(const Symbols& symbols, WGPUBuffer handle) : symbols_(symbols), handle_(handle) {}
  ~DeviceMemory() override {
    // Destroy frees the memory at once, or when the work in flight that uses it has ended.
    symbols_.wgpuBufferDestroy(handle_);
    symbols_.wgpuBufferRelease(handle_);
  }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  WGPUBuffer handle() const { return handle_; }

 private:
  const Symbols& symbols_;
  WGPUBuffer handle_;
};

inline WGPUBuffer handle_of(const gpu::Buffer& buffer) {
  return static_cast<const DeviceMemory&>(buffer.memory()).handle();
}

}  // namespace nearfield::wgpu
