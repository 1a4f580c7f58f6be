// SPDX-License-Identifier: Apache-2.0
// metal-cpp calls Objective-C, which hands out autoreleased objects: every entry below, the ends of objects
// included, has a pool of its own, for the caller's thread may have none.
#define NS_PRIVATE_IMPLEMENTATION
#define MTL_PRIVATE_IMPLEMENTATION
#include "device.hpp"

// The system's headers that metal-cpp includes, before the names below go, which they compare versions by.
#include <CoreFoundation/CoreFoundation.h>
#include <IOSurface/IOSurfaceRef.h>
#include <TargetConditionals.h>
#include <dispatch/dispatch.h>
#include <dlfcn.h>
#include <mach/mach.h>
#include <objc/message.h>
#include <objc/runtime.h>
// Without them metal-cpp looks its constants up by dlsym(): some are newer than macOS 14, and none is used
// here.
#undef __MAC_26_0
#undef __IPHONE_26_0
#undef __TVOS_26_0

#include <Foundation/Foundation.hpp>
#include <Metal/Metal.hpp>
#include <cstdio>
#include <utility>

#include "kernel_text.hpp"

namespace nearfield::metal {
namespace {

// The simdgroups that the kernels count on.
constexpr NS::UInteger kSimdWidth = 32;

class Pool {
 public:
  Pool() : pool_(NS::AutoreleasePool::alloc()->init()) {}
  ~Pool() { pool_->release(); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

 private:
  NS::AutoreleasePool* pool_;
};

NS::String* string(const char* text) { return NS::String::string(text, NS::UTF8StringEncoding); }

// One line, for one sentence: compilers report over several.
std::string text(NS::Error* e) {
  const char* words = e == nullptr || e->localizedDescription() == nullptr
                          ? nullptr
                          : e->localizedDescription()->utf8String();
  std::string line = words == nullptr ? "no reason given" : words;
  for (char& c : line)
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  return line;
}

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

// mathMode and MSL 3.2 came with macOS 15.
bool has_math_mode() {
  return NS::ProcessInfo::processInfo()->isOperatingSystemAtLeastVersion(
      NS::OperatingSystemVersion{15, 0, 0});
}

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

MTL::Buffer* buffer_of(const Block& block) { return static_cast<const MetalBlock&>(block).buffer(); }

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

class MetalCommands final : public Commands {
 public:
  explicit MetalCommands(NS::SharedPtr<MTL::CommandBuffer> buffer) : buffer_(std::move(buffer)) {}
  ~MetalCommands() override {
    const Pool pool;
    end();  // an encoder must not go before it has ended
    buffer_.reset();
  }

  void dispatch(const Pipeline& pipeline, const void* params, size_t params_bytes,
                std::span<const Block* const> buffers, gpu::Grid grid, uint32_t lanes) override {
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

  void copy(const Block& from, uint64_t from_offset, const Block& to, uint64_t to_offset,
            uint64_t bytes) override {
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

  void commit() override {
    const Pool pool;
    end();
    if (!incomplete_) buffer_->commit();
  }

  Fault wait(std::chrono::nanoseconds most, std::string* reason) override {
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
    switch (e == nullptr ? MTL::CommandBufferErrorInternal
                         : static_cast<MTL::CommandBufferError>(e->code())) {
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

 private:
  void end() {
    const Pool pool;
    if (compute_.get() != nullptr) compute_->endEncoding();
    if (blit_.get() != nullptr) blit_->endEncoding();
    compute_.reset();
    blit_.reset();
  }

  NS::SharedPtr<MTL::CommandBuffer> buffer_;
  NS::SharedPtr<MTL::ComputeCommandEncoder> compute_;  // one of the two at most
  NS::SharedPtr<MTL::BlitCommandEncoder> blit_;
  bool incomplete_ = false;  // a command is missing
};

// The family of the M1: simdgroup matrices, simdgroups of 32, unified memory.
std::vector<NS::SharedPtr<MTL::Device>> usable_devices(std::string* why_none) {
  std::vector<NS::SharedPtr<MTL::Device>> usable;
  const NS::SharedPtr<NS::Array> all = NS::TransferPtr(MTL::CopyAllDevices());
  std::string others;
  for (NS::UInteger i = 0; all.get() != nullptr && i < all->count(); ++i) {
    auto* device = all->object<MTL::Device>(i);
    if (device->supportsFamily(MTL::GPUFamilyApple7)) {
      usable.push_back(NS::RetainPtr(device));
    } else {
      others += others.empty() ? "" : ", ";
      others += device->name()->utf8String();
    }
  }
  if (!usable.empty() || why_none == nullptr) return usable;
  *why_none = others.empty() ? "this Mac has no Metal device"
                             : "of the Metal devices here (" + others +
                                   ") none is of the Apple7 family (M1) or later, which the kernels need";
  return usable;
}

Adapter describe(MTL::Device* device) {
  Adapter adapter;
  adapter.name = device->name()->utf8String();
  adapter.driver = std::string("Metal, macOS ") +
                   NS::ProcessInfo::processInfo()->operatingSystemVersionString()->utf8String();
  adapter.memory_bytes = device->recommendedMaxWorkingSetSize();
  adapter.buffer_bytes = device->maxBufferLength();
  adapter.threadgroup_bytes = static_cast<uint32_t>(device->maxThreadgroupMemoryLength());
  adapter.unified = device->hasUnifiedMemory();
  return adapter;
}

class MetalDevice final : public Device {
 public:
  MetalDevice(NS::SharedPtr<MTL::Device> device, NS::SharedPtr<MTL::CommandQueue> queue)
      : device_(std::move(device)), queue_(std::move(queue)), adapter_(describe(device_.get())) {}

  ~MetalDevice() override {
    const Pool pool;
    queue_.reset();
    device_.reset();
  }
  const Adapter& adapter() const override { return adapter_; }

  std::unique_ptr<Block> allocate(uint64_t bytes, bool host) override {
    const Pool pool;
    // Metal would allocate more, and the command buffers that use it would fail later.
    if (adapter_.memory_bytes != 0 && device_->currentAllocatedSize() + bytes > adapter_.memory_bytes)
      return nullptr;
    const MTL::ResourceOptions mode =
        host || adapter_.unified ? MTL::ResourceStorageModeShared : MTL::ResourceStorageModePrivate;
    NS::SharedPtr<MTL::Buffer> buffer = NS::TransferPtr(device_->newBuffer(bytes, mode));
    if (buffer.get() == nullptr) return nullptr;
    return std::make_unique<MetalBlock>(std::move(buffer));
  }

  Status compile(const std::string& name, uint32_t lanes, std::unique_ptr<Pipeline>* out) override;

  std::unique_ptr<Commands> begin() override {
    const Pool pool;
    NS::SharedPtr<MTL::CommandBuffer> buffer = NS::RetainPtr(queue_->commandBuffer());
    if (buffer.get() == nullptr) return nullptr;
    return std::make_unique<MetalCommands>(std::move(buffer));
  }

 private:
  NS::SharedPtr<MTL::Device> device_;
  NS::SharedPtr<MTL::CommandQueue> queue_;
  Adapter adapter_;
};

// flat_m1_q4_c256 as the text has it: X(flat, 1, 4, 256).
std::string wanted(const std::string& name) {
  char kernel[32];
  unsigned metric = 0, query_block = 0, list_capacity = 0;
  if (std::sscanf(name.c_str(), "%31[a-z]_m%u_q%u_c%u", kernel, &metric, &query_block, &list_capacity) != 4)
    return "";
  return std::string("#define NEARFIELD_METAL_WANTED(X) X(") + kernel + ", " + std::to_string(metric) + ", " +
         std::to_string(query_block) + ", " + std::to_string(list_capacity) + ")\n";
}

Status MetalDevice::compile(const std::string& name, uint32_t lanes, std::unique_ptr<Pipeline>* out) {
  const Pool pool;
  const NS::SharedPtr<MTL::CompileOptions> options = NS::TransferPtr(MTL::CompileOptions::alloc()->init());
  // Bit for bit the canonical form: no reassociation, no fused operations that were not asked for.
  if (has_math_mode()) {
    options->setLanguageVersion(MTL::LanguageVersion3_2);
    options->setMathMode(MTL::MathModeSafe);
    options->setMathFloatingPointFunctions(MTL::MathFloatingPointFunctionsPrecise);
  } else {
    options->setLanguageVersion(MTL::LanguageVersion3_0);
    options->setFastMathEnabled(false);
  }
  const std::string source = wanted(name) + kKernelText;
  NS::Error* e = nullptr;
  const NS::SharedPtr<MTL::Library> library =
      NS::TransferPtr(device_->newLibrary(string(source.c_str()), options.get(), &e));
  if (library.get() == nullptr)
    return error(NF_INTERNAL, "kernel %s does not compile on %s: %s", name.c_str(), adapter_.name.c_str(),
                 text(e).c_str());
  const NS::SharedPtr<MTL::Function> function = NS::TransferPtr(library->newFunction(string(name.c_str())));
  if (function.get() == nullptr)
    return error(NF_INTERNAL, "kernel %s is not in the library that was compiled for it", name.c_str());
  const NS::SharedPtr<MTL::ComputePipelineDescriptor> descriptor =
      NS::TransferPtr(MTL::ComputePipelineDescriptor::alloc()->init());
  descriptor->setComputeFunction(function.get());
  descriptor->setMaxTotalThreadsPerThreadgroup(lanes);
  descriptor->setThreadGroupSizeIsMultipleOfThreadExecutionWidth(true);
  descriptor->setLabel(string(name.c_str()));
  NS::SharedPtr<MTL::ComputePipelineState> state = NS::TransferPtr(
      device_->newComputePipelineState(descriptor.get(), MTL::PipelineOptionNone, nullptr, &e));
  if (state.get() == nullptr)
    return error(NF_INTERNAL, "kernel %s gave no pipeline on %s: %s", name.c_str(), adapter_.name.c_str(),
                 text(e).c_str());
  if (state->threadExecutionWidth() != kSimdWidth || state->maxTotalThreadsPerThreadgroup() < lanes)
    return error(NF_INTERNAL,
                 "kernel %s: simdgroups of %lu and %lu threads at most on %s, needed are %lu and %u",
                 name.c_str(), static_cast<unsigned long>(state->threadExecutionWidth()),
                 static_cast<unsigned long>(state->maxTotalThreadsPerThreadgroup()), adapter_.name.c_str(),
                 static_cast<unsigned long>(kSimdWidth), lanes);
  *out = std::make_unique<MetalPipeline>(std::move(state));
  return {};
}

}  // namespace

std::vector<Adapter> adapters(std::string* why_none) {
  const Pool pool;
  std::vector<Adapter> found;
  for (const NS::SharedPtr<MTL::Device>& device : usable_devices(why_none))
    found.push_back(describe(device.get()));
  return found;
}

Status open_device(int32_t index, const char* what, std::unique_ptr<Device>* out) {
  const Pool pool;
  std::vector<NS::SharedPtr<MTL::Device>> devices = usable_devices(nullptr);
  if (index < 0 || static_cast<size_t>(index) >= devices.size())
    return error(NF_UNAVAILABLE, "%s: device=%d is gone, metal has %zu", what, index, devices.size());
  NS::SharedPtr<MTL::Device> device = std::move(devices[static_cast<size_t>(index)]);
  NS::SharedPtr<MTL::CommandQueue> queue = NS::TransferPtr(device->newCommandQueue());
  if (queue.get() == nullptr)
    return error(NF_RESOURCE_EXHAUSTED, "%s: %s gave no command queue", what, device->name()->utf8String());
  *out = std::make_unique<MetalDevice>(std::move(device), std::move(queue));
  return {};
}

}  // namespace nearfield::metal
