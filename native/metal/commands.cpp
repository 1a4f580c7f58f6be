// SPDX-License-Identifier: Apache-2.0
#include "commands.hpp"

#include <cstdio>

#include "block.hpp"
#include "pipeline.hpp"

namespace nearfield::metal {
namespace {

// What macOS calls an internal error and explains by a number of its driver interface,
// "(0000000e:kIOGPU...)".
Fault internal_fault(std::string* reason) {
  unsigned code = 0;
  const size_t at = reason->find("(000000");
  if (at != std::string::npos) std::sscanf(reason->c_str() + at, "(%8x", &code);
  switch (code) {
    case 2:   // time-out
    case 3:   // hang
    case 14:  // it made the screen wait
      return Fault::kTimeout;
    case 4:  // submissions of this process are ignored from now on
      return Fault::kLost;
    case 5:
      *reason += " (the GPU was reset because of another program: try again)";
      return Fault::kOther;
    case 8:
      return Fault::kOutOfMemory;
    default:
      return Fault::kOther;
  }
}

}  // namespace

MetalCommands::~MetalCommands() {
  const Pool pool;
  end();  // an encoder must not go before it has ended
  buffer_.reset();
}

void MetalCommands::dispatch(const Pipeline& pipeline, const void* params, size_t params_bytes,
                             std::span<const Block* const> buffers, gpu::Grid grid, uint32_t lanes) {
  const Pool pool;
  if (compute_.get() == nullptr) {
    end();
    // The serial kind: a dispatch sees what the ones before it wrote.
    compute_ = NS::RetainPtr(buffer_->computeCommandEncoder());
  }
  if (compute_.get() == nullptr) {
    incomplete_ = true;
    return;
  }
  compute_->setComputePipelineState(static_cast<const MetalPipeline&>(pipeline).state());
  compute_->setBytes(params, params_bytes, 0);
  for (size_t i = 0; i < buffers.size(); ++i) compute_->setBuffer(buffer_of(*buffers[i]), 0, i + 1);
  compute_->dispatchThreadgroups(MTL::Size(grid.x, grid.y, 1), MTL::Size(lanes, 1, 1));
}

void MetalCommands::copy(const Block& from, uint64_t from_offset, const Block& to, uint64_t to_offset,
                         uint64_t bytes) {
  const Pool pool;
  if (blit_.get() == nullptr) {
    end();
    blit_ = NS::RetainPtr(buffer_->blitCommandEncoder());
  }
  if (blit_.get() == nullptr) {
    incomplete_ = true;
    return;
  }
  blit_->copyFromBuffer(buffer_of(from), from_offset, buffer_of(to), to_offset, bytes);
}

void MetalCommands::commit() {
  const Pool pool;
  end();
  if (!incomplete_) buffer_->commit();
}

Fault MetalCommands::wait(std::chrono::nanoseconds most, std::string* reason) {
  const Pool pool;
  if (incomplete_) {
    *reason = "no command encoder";
    return Fault::kOutOfMemory;
  }
  // waitUntilCompleted() has no time of its own.
  gpu::Patience patience(most, gpu::kSpin);
  MTL::CommandBufferStatus status = MTL::CommandBufferStatusNotEnqueued;
  const auto has_ended = [&] {
    status = buffer_->status();
    return status == MTL::CommandBufferStatusCompleted || status == MTL::CommandBufferStatusError;
  };
  while (patience.left() && !has_ended()) continue;
  if (status == MTL::CommandBufferStatusCompleted) return Fault::kNone;
  if (status != MTL::CommandBufferStatusError) {
    *reason = patience.text();
    return Fault::kHung;
  }
  NS::Error* e = buffer_->error();
  *reason = text(e);
  switch (e == nullptr ? MTL::CommandBufferErrorInternal : static_cast<MTL::CommandBufferError>(e->code())) {
    case MTL::CommandBufferErrorOutOfMemory:
      return Fault::kOutOfMemory;
    case MTL::CommandBufferErrorTimeout:
      return Fault::kTimeout;
    case MTL::CommandBufferErrorAccessRevoked:  // after faults of this process, as long as it lives
    case MTL::CommandBufferErrorDeviceRemoved:
      return Fault::kLost;
    case MTL::CommandBufferErrorInternal:
      return internal_fault(reason);
    default:  // a page fault, a stack overflow, an invalid resource: an error of ours; a refusal for once
      return Fault::kOther;
  }
}

void MetalCommands::end() {
  const Pool pool;
  if (compute_.get() != nullptr) compute_->endEncoding();
  if (blit_.get() != nullptr) blit_->endEncoding();
  compute_.reset();
  blit_.reset();
}

}  // namespace nearfield::metal
