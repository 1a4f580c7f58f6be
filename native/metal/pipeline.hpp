// SPDX-License-Identifier: Apache-2.0
// Pipeline over metal-cpp.
#pragma once

#include <utility>

#include "device.hpp"
#include "metal_cpp.hpp"

namespace nearfield::metal {

class MetalPipeline final : public Pipeline {
 public:
  explicit MetalPipeline(NS::SharedPtr<MTL::ComputePipelineState> state) : state_(std::move(state)) {}
  ~MetalPipeline() override {
    const Pool pool;
    state_.reset();
  }
  MTL::ComputePipelineState* state() const { return state_.get(); }

 private:
  NS::SharedPtr<MTL::ComputePipelineState> state_;
};

// Device::compile.
Status compile(MTL::Device* device, const Adapter& adapter, const std::string& name, uint32_t lanes,
               std::unique_ptr<Pipeline>* out);

}  // namespace nearfield::metal
