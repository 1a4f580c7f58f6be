// SPDX-License-Identifier: Apache-2.0
// Commands over metal-cpp.
#pragma once

#include <utility>

#include "device.hpp"
#include "metal_cpp.hpp"

namespace nearfield::metal {

class MetalCommands final : public Commands {
 public:
  explicit MetalCommands(NS::SharedPtr<MTL::CommandBuffer> buffer) : buffer_(std::move(buffer)) {}
  ~MetalCommands() override;
  void dispatch(const Pipeline& pipeline, const void* params, size_t params_bytes,
                std::span<const Block* const> buffers, gpu::Grid grid, uint32_t lanes) override;
  void copy(const Block& from, uint64_t from_offset, const Block& to, uint64_t to_offset,
            uint64_t bytes) override;
  void commit() override;
  Fault wait(std::chrono::nanoseconds most, std::string* reason) override;

 private:
  void end();

  NS::SharedPtr<MTL::CommandBuffer> buffer_;
  NS::SharedPtr<MTL::ComputeCommandEncoder> compute_;  // one of the two at most
  NS::SharedPtr<MTL::BlitCommandEncoder> blit_;
  bool incomplete_ = false;  // a command is missing
};

}  // namespace nearfield::metal
