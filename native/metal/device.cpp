// SPDX-License-Identifier: Apache-2.0
// metal-cpp's own code is compiled here, once.
#define NS_PRIVATE_IMPLEMENTATION
#define MTL_PRIVATE_IMPLEMENTATION
#include "device.hpp"

#include <utility>

#include "block.hpp"
#include "commands.hpp"
#include "pipeline.hpp"

namespace nearfield::metal {
namespace {

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

  Status compile(const std::string& name, uint32_t lanes, std::unique_ptr<Pipeline>* out) override {
    return metal::compile(device_.get(), adapter_, name, lanes, out);
  }

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
