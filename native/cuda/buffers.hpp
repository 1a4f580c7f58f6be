// SPDX-License-Identifier: Apache-2.0
// What gpu::Buffers of this backend are: memory from a pool where the GPU has one, freed in stream order.
#pragma once

#include "driver.hpp"
#include "queue.hpp"

namespace nearfield::cuda {

// What the pool keeps when memory is freed: workspaces that grow do so without asking the driver.
inline constexpr uint64_t kKeptBytes = 64ull << 20;

class CudaMemory final : public gpu::Memory {
 public:
  CudaMemory(CudaQueue& queue, DevicePointer device, void* host, uint64_t bytes)
      : queue_(queue), device_(device), host_(host), bytes_(bytes) {}
  ~CudaMemory() override { queue_.release(device_, host_, bytes_); }
  CudaMemory(const CudaMemory&) = delete;
  CudaMemory& operator=(const CudaMemory&) = delete;
  DevicePointer device() const { return device_; }
  void* host() const { return host_; }  // Use::kReadback

 private:
  CudaQueue& queue_;
  DevicePointer device_;
  void* host_;
  uint64_t bytes_;
};

inline const CudaMemory& memory_of(const gpu::Buffer& buffer) {
  return static_cast<const CudaMemory&>(buffer.memory());
}

}  // namespace nearfield::cuda
