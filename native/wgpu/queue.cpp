// SPDX-License-Identifier: Apache-2.0
#include "queue.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <thread>
#include <utility>

#include "buffers.hpp"
#include "callbacks.hpp"
#include "workgroup.hpp"

namespace nearfield::wgpu {
namespace {

constexpr uint64_t kSlotBytes = 256;  // the largest minUniformBufferOffsetAlignment there is
constexpr uint32_t kSlots = 256;
// What a kernel sees of the slots: an array of two of its parameters, the second never read (common.wgsl).
constexpr uint64_t kSeenBytes = 2 * kSlotBytes;

}  // namespace

void fill_info(const Adapter& adapter, nf_device_info* out) {
  std::snprintf(out->name, sizeof(out->name), "%s", adapter.name.c_str());
  std::snprintf(out->driver, sizeof(out->driver), "%s", adapter.driver.c_str());
  out->memory_bytes = out->free_bytes = 0;  // WebGPU does not tell
  out->max_binding_bytes = adapter.limits.maxStorageBufferBindingSize;
  out->dispatch_target_ns = gpu::Queue::kDispatchTargetNs;
  out->simd_width = static_cast<int32_t>(adapter.subgroup_min);
  out->compute_units = 0;  // likewise
  out->unified_memory = adapter.type != WGPUAdapterType_DiscreteGPU;
  out->software = adapter.software();
  out->emulated = 0;
}

WebGpuQueue::WebGpuQueue(std::shared_ptr<Native> native, const Adapter& adapter)
    : native_(std::move(native)),
      adapter_(adapter),
      tuning_(tuning_of(adapter.type, std::thread::hardware_concurrency())),
      pace_(tuning_.first_units_per_ns) {}

Status WebGpuQueue::create(std::shared_ptr<Native> native, const Adapter& adapter,
                           const KernelOptions& kernels, std::unique_ptr<WebGpuQueue>* out) {
  auto queue = std::make_unique<WebGpuQueue>(std::move(native), adapter);
  const Symbols& s = queue->symbols();
  // All that the adapter has: the defaults would cap buffers at 256 MiB.
  WGPULimits wanted = adapter.limits;
  wanted.nextInChain = nullptr;
  queue->errors_ = new DeviceErrors;
  WGPUDeviceDescriptor descriptor{};
  descriptor.requiredLimits = &wanted;
  queue->subgroups_ = kernels.subgroups && adapter.subgroups;
  const auto feature = static_cast<WGPUFeatureName>(WGPUNativeFeature_Subgroup);
  descriptor.requiredFeatureCount = queue->subgroups_;
  descriptor.requiredFeatures = &feature;
  descriptor.deviceLostCallbackInfo.mode = WGPUCallbackMode_AllowSpontaneous;
  descriptor.deviceLostCallbackInfo.callback = on_lost;
  descriptor.deviceLostCallbackInfo.userdata1 = queue->errors_;
  descriptor.uncapturedErrorCallbackInfo.callback = on_error;
  descriptor.uncapturedErrorCallbackInfo.userdata1 = queue->errors_;
  DeviceAnswer answer;
  WGPURequestDeviceCallbackInfo info{};
  info.mode = WGPUCallbackMode_AllowSpontaneous;  // wgpu-native answers before it returns
  info.callback = on_device;
  info.userdata1 = &answer;
  s.wgpuAdapterRequestDevice(adapter.handle, &descriptor, info);
  if (answer.device == nullptr)
    return error(NF_UNAVAILABLE, "context_create: %s gave no device: %s", adapter.name.c_str(),
                 answer.message.c_str());
  queue->device_ = answer.device;
  queue->queue_ = s.wgpuDeviceGetQueue(answer.device);
  queue->device_limits_ = wanted;
  const Tuning& tuning = queue->tuning_;
  gpu::Limits& limits = queue->limits_;
  limits.binding_bytes =
      std::min({tuning.binding_bytes, wanted.maxStorageBufferBindingSize, wanted.maxBufferSize});
  limits.slab_bytes = limits.binding_bytes;
  limits.fixed_bytes = kSlotBytes * (kSlots - 1) + kSeenBytes;
  limits.grid = wanted.maxComputeWorkgroupsPerDimension;
  limits.dispatches = kSlots;
  limits.workgroups = tuning.workgroups;
  limits.least_part_units = tuning.part_units;
  limits.loops = tuning.loops;
  limits.subgroups = adapter.subgroups;
  limits.lanes = kLanes;
  limits.tile_rows = kTileRows;
  limits.most_lists = kMostLists;
  limits.most_list_k = kMostListK;
  limits.codes = true;
  limits.least_coded_bytes = tuning.coded_bytes;
  limits.most_coded_k = tuning.coded_k;
  limits.coded_products = true;
  limits.least_product_batch = tuning.product_batch;
  WGPUBufferDescriptor params{};
  params.size = limits.fixed_bytes;
  params.usage = WGPUBufferUsage_Uniform | WGPUBufferUsage_CopyDst;
  WGPUBuffer handle = s.wgpuDeviceCreateBuffer(answer.device, &params);
  NF_TRY(queue->take_error("context_create"));
  queue->params_ = gpu::Buffer(std::make_unique<DeviceMemory>(s, handle), params.size);
  limits.packed_dots = queue->pipelines_.has_packed_dots();
  queue->packed_dots_ = kernels.packed_dots && limits.packed_dots;
  *out = std::move(queue);
  return {};
}

WebGpuQueue::~WebGpuQueue() {
  discard();
  if (device_ == nullptr) {
    delete errors_;
    return;
  }
  // wgpu-native waits for the device when the last reference goes and aborts the process when that fails: a
  // lost device is therefore kept, with what its callbacks write to.
  drain();
  if (!health().ok()) return;
  params_ = gpu::Buffer();
  pipelines_.clear();
  symbols().wgpuQueueRelease(queue_);
  symbols().wgpuDeviceRelease(device_);
  delete errors_;
}

Status WebGpuQueue::health() const {
  const std::lock_guard<std::mutex> lock(errors_->mutex);
  if (!errors_->lost) return {};
  return error(NF_DEVICE_LOST, "the device %s was lost: %s", adapter_.name.c_str(),
               errors_->lost_reason.empty() ? "no reason given" : errors_->lost_reason.c_str());
}

void WebGpuQueue::lose() {
  drain();
  symbols().wgpuDeviceDestroy(device_);
  symbols().wgpuDevicePoll(device_, 0, nullptr);
  const std::lock_guard<std::mutex> lock(errors_->mutex);
  errors_->lost = true;
}

Status WebGpuQueue::take_error(const char* what) {
  NF_TRY(lost_in(what));
  const std::lock_guard<std::mutex> lock(errors_->mutex);
  if (errors_->type == WGPUErrorType_NoError) return {};
  const WGPUErrorType type = errors_->type;
  errors_->type = WGPUErrorType_NoError;
  const nf_status code = type == WGPUErrorType_OutOfMemory ? NF_RESOURCE_EXHAUSTED : NF_INTERNAL;
  const Status formatted = error(code, "%s: wgpu: %s", what, errors_->message.c_str());
  return Status(code, formatted.message(), type);
}

gpu::FlatShape WebGpuQueue::flat_shape(int64_t batch, int32_t k) const {
  if (k > kSmallListK) return {1, kLargeList, limits_.workgroups};
  return {batch > 1 ? kFlatQueries : 1u, kSmallList, limits_.workgroups};
}

gpu::CodedProductShape WebGpuQueue::coded_product_shape(int32_t, int32_t, int64_t batch, int32_t k) const {
  if (k > kMostListK) return {};
  return {batch > kSmallProductTile ? kProductTile : kSmallProductTile, kProductRows, kProductParts,
          k > kSmallListK ? kLargeList : kSmallList};
}

void WebGpuQueue::end_pass() {
  if (pass_ == nullptr) return;
  symbols().wgpuComputePassEncoderEnd(pass_);
  symbols().wgpuComputePassEncoderRelease(pass_);
  pass_ = nullptr;
}

Status WebGpuQueue::dispatch(const gpu::Dispatch& dispatch) {
  const Symbols& s = symbols();
  NF_TRY(health());
  const Pipeline* pipeline = nullptr;
  NF_TRY(pipelines_.get(dispatch.kernel, dispatch.variant, &pipeline));
  WGPUBindGroupEntry entries[kMostBindings]{};
  entries[0].buffer = handle_of(params_);
  entries[0].size = kSeenBytes;
  const size_t count = dispatch.buffers.size();
  for (size_t i = 0; i < count; ++i) {
    entries[i + 1].binding = static_cast<uint32_t>(i + 1);
    entries[i + 1].buffer = handle_of(*dispatch.buffers[i]);
    entries[i + 1].size = dispatch.buffers[i]->size();
  }
  WGPUBindGroupDescriptor descriptor{};
  descriptor.layout = pipeline->layout;
  descriptor.entryCount = count + 1;
  descriptor.entries = entries;
  WGPUBindGroup group = s.wgpuDeviceCreateBindGroup(device_, &descriptor);
  if (Status status = take_error("bind group"); !status.ok()) {
    if (group != nullptr) s.wgpuBindGroupRelease(group);
    return status;
  }
  if (encoder_ == nullptr) encoder_ = s.wgpuDeviceCreateCommandEncoder(device_, nullptr);
  if (pass_ == nullptr) pass_ = s.wgpuCommandEncoderBeginComputePass(encoder_, nullptr);
  const auto offset = static_cast<uint32_t>(slots_.size());
  slots_.resize(offset + kSlotBytes);
  std::memcpy(slots_.data() + offset, dispatch.params, dispatch.params_bytes);
  measurable_ = measurable_ && pipeline->used;
  pipeline->used = true;
  s.wgpuComputePassEncoderSetPipeline(pass_, pipeline->handle);
  s.wgpuComputePassEncoderSetBindGroup(pass_, 0, group, 1, &offset);
  s.wgpuComputePassEncoderDispatchWorkgroups(pass_, dispatch.grid.x, dispatch.grid.y, 1);
  s.wgpuBindGroupRelease(group);
  return {};
}

void WebGpuQueue::copy(const gpu::Buffer& from, uint64_t from_offset, const gpu::Buffer& to,
                       uint64_t to_offset, uint64_t bytes) {
  end_pass();
  if (encoder_ == nullptr) encoder_ = symbols().wgpuDeviceCreateCommandEncoder(device_, nullptr);
  symbols().wgpuCommandEncoderCopyBufferToBuffer(encoder_, handle_of(from), from_offset, handle_of(to),
                                                 to_offset, bytes);
}

}  // namespace nearfield::wgpu
