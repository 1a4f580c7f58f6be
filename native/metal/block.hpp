// SPDX-License-Identifier: Apache-2.0
// Block over metal-cpp.
#pragma once

#include <utility>

#include "device.hpp"
#include "metal_cpp.hpp"

namespace nearfield::metal {

class MetalBlock final : public Block {
 public:
  explicit MetalBlock(NS::SharedPtr<MTL::Buffer> buffer) : buffer_(std::move(buffer)) {}
  // Command buffers retain what they use.
  ~MetalBlock() override {
    const Pool pool;
    buffer_.reset();
  }
  void* contents() const override {
    const Pool pool;
    return buffer_->storageMode() == MTL::StorageModeShared ? buffer_->contents() : nullptr;
  }
  MTL::Buffer* buffer() const { return buffer_.get(); }

 private:
  NS::SharedPtr<MTL::Buffer> buffer_;
};

inline MTL::Buffer* buffer_of(const Block& block) { return static_cast<const MetalBlock&>(block).buffer(); }

}  // namespace nearfield::metal
