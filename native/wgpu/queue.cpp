// SPDX-License-Identifier: Apache-2.0
#include "queue.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>
#include <thread>
#include <utility>

#include "workgroup.hpp"

namespace nearfield::wgpu {
namespace {

constexpr uint64_t kSlotBytes = 256;  // the largest minUniformBufferOffsetAlignment there is
constexpr uint32_t kSlots = 256;

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

WGPUBuffer handle_of(const gpu::Buffer& buffer) {
  return static_cast<const DeviceMemory&>(buffer.memory()).handle();
}

// Called by wgpu-native through its callbacks: nothing may be thrown there, so a text that finds no memory is
// left out.
std::string text(WGPUStringView v) noexcept try {
  if (v.data == nullptr) return "";
  std::string s = v.length == WGPU_STRLEN ? std::string(v.data) : std::string(v.data, v.length);
  // One sentence in one line: wgpu's reports are trees over several lines.
  std::string line;
  for (char c : s) {
    const char d = c == '\n' || c == '\r' || c == '\t' ? ' ' : c;
    if (d != ' ' || (!line.empty() && line.back() != ' ')) line.push_back(d);
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
} catch (const std::bad_alloc&) {
  return {};
}

void on_lost(WGPUDevice const*, WGPUDeviceLostReason, WGPUStringView message, void* data, void*) {
  auto* errors = static_cast<DeviceErrors*>(data);
  const std::lock_guard<std::mutex> lock(errors->mutex);
  errors->lost = true;
  errors->lost_reason = text(message);
}

void on_error(WGPUDevice const*, WGPUErrorType type, WGPUStringView message, void* data, void*) {
  auto* errors = static_cast<DeviceErrors*>(data);
  const std::lock_guard<std::mutex> lock(errors->mutex);
  if (errors->type != WGPUErrorType_NoError) return;
  errors->type = type;
  errors->message = text(message);
}

struct DeviceAnswer {
  WGPUDevice device = nullptr;
  std::string message;
};

void on_device(WGPURequestDeviceStatus status, WGPUDevice device, WGPUStringView message, void* data, void*) {
  auto* answer = static_cast<DeviceAnswer*>(data);
  if (status == WGPURequestDeviceStatus_Success) answer->device = device;
  answer->message = text(message);
}

// Owned by the queue and by the callback, which may come after the queue has given up.
using Ended = std::shared_ptr<std::atomic<bool>>;

void on_work_done(WGPUQueueWorkDoneStatus, WGPUStringView, void* data, void*) {
  const std::unique_ptr<Ended> ended(static_cast<Ended*>(data));
  (*ended)->store(true);
}

struct MapAnswer {
  std::atomic<bool> done = false;
  WGPUMapAsyncStatus status = WGPUMapAsyncStatus_Error;
  std::string message;
};

void on_map(WGPUMapAsyncStatus status, WGPUStringView message, void* data, void*) {
  auto* answer = static_cast<MapAnswer*>(data);
  answer->status = status;
  answer->message = text(message);
  answer->done = true;
}

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

Status WebGpuQueue::create(std::shared_ptr<Native> native, const Adapter& adapter, bool subgroups,
                           std::unique_ptr<WebGpuQueue>* out) {
  auto queue = std::make_unique<WebGpuQueue>(std::move(native), adapter);
  const Symbols& s = queue->symbols();
  // All that the adapter has: the defaults would cap buffers at 256 MiB.
  WGPULimits wanted = adapter.limits;
  wanted.nextInChain = nullptr;
  queue->errors_ = new DeviceErrors;
  WGPUDeviceDescriptor descriptor{};
  descriptor.requiredLimits = &wanted;
  queue->subgroups_ = subgroups && adapter.subgroups;
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
  limits.fixed_bytes = kSlotBytes * kSlots;
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
  WGPUBufferDescriptor params{};
  params.size = limits.fixed_bytes;
  params.usage = WGPUBufferUsage_Uniform | WGPUBufferUsage_CopyDst;
  WGPUBuffer handle = s.wgpuDeviceCreateBuffer(answer.device, &params);
  NF_TRY(queue->take_error("context_create"));
  queue->params_ = gpu::Buffer(std::make_unique<DeviceMemory>(s, handle), params.size);
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
  // Four queries by 256 entries and one by 1024 take 8 KiB of the 16 KiB of workgroup memory that every
  // adapter has.
  if (k > kSmallListK) return {1, 1024, limits_.workgroups};
  return {batch > 1 ? 4u : 1u, 256, limits_.workgroups};
}

Status WebGpuQueue::allocate(uint64_t bytes, gpu::Use use, const char* what, gpu::Buffer* out) {
  NF_TRY(health());
  if (bytes > device_limits_.maxBufferSize)
    return error(NF_RESOURCE_EXHAUSTED, "%s: %llu bytes in one buffer, %s allows %llu", what,
                 static_cast<unsigned long long>(bytes), adapter_.name.c_str(),
                 static_cast<unsigned long long>(device_limits_.maxBufferSize));
  WGPUBufferDescriptor descriptor{};
  descriptor.size = bytes;
  descriptor.usage = use == gpu::Use::kReadback
                         ? WGPUBufferUsage_MapRead | WGPUBufferUsage_CopyDst
                         : WGPUBufferUsage_Storage | WGPUBufferUsage_CopyDst | WGPUBufferUsage_CopySrc;
  WGPUBuffer handle = symbols().wgpuDeviceCreateBuffer(device_, &descriptor);
  gpu::Buffer buffer;
  if (handle != nullptr) buffer = gpu::Buffer(std::make_unique<DeviceMemory>(symbols(), handle), bytes);
  NF_TRY(take_error(what));
  if (!buffer)
    return error(NF_RESOURCE_EXHAUSTED, "%s: no buffer of %llu bytes", what,
                 static_cast<unsigned long long>(bytes));
  *out = std::move(buffer);
  return {};
}

void WebGpuQueue::write(const gpu::Buffer& to, uint64_t offset, const void* data, uint64_t bytes) {
  if (bytes != 0) symbols().wgpuQueueWriteBuffer(queue_, handle_of(to), offset, data, bytes);
}

void WebGpuQueue::end_pass() {
  if (pass_ == nullptr) return;
  symbols().wgpuComputePassEncoderEnd(pass_);
  symbols().wgpuComputePassEncoderRelease(pass_);
  pass_ = nullptr;
}

void WebGpuQueue::discard() {
  end_pass();
  if (encoder_ != nullptr) symbols().wgpuCommandEncoderRelease(encoder_);
  encoder_ = nullptr;
  slots_.clear();
  measurable_ = true;
}

Status WebGpuQueue::dispatch(const gpu::Dispatch& dispatch) {
  const Symbols& s = symbols();
  NF_TRY(health());
  const Pipeline* pipeline = nullptr;
  NF_TRY(pipelines_.get(dispatch.kernel, dispatch.variant, &pipeline));
  WGPUBindGroupEntry entries[kMostBindings]{};
  entries[0].buffer = handle_of(params_);
  entries[0].size = kSlotBytes;
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

Status WebGpuQueue::submit(double units, const char* what) {
  const Symbols& s = symbols();
  end_pass();
  if (encoder_ == nullptr) return {};
  if (!slots_.empty()) write(params_, 0, slots_.data(), slots_.size());
  slots_.clear();
  if (!std::exchange(measurable_, true)) units = 0;
  WGPUCommandEncoder encoder = std::exchange(encoder_, nullptr);
  WGPUCommandBuffer commands = s.wgpuCommandEncoderFinish(encoder, nullptr);
  s.wgpuCommandEncoderRelease(encoder);
  // An invalid command buffer must not be submitted: wgpu-native treats that as fatal.
  if (Status status = take_error(what); !status.ok()) {
    if (commands != nullptr && status.code() != NF_DEVICE_LOST) s.wgpuCommandBufferRelease(commands);
    return status;
  }
  while (flights_.size() >= 2) wait_oldest();
  NF_TRY(lost_in(what));  // and keeps the commands, as above
  s.wgpuQueueSubmitForIndex(queue_, 1, &commands);
  s.wgpuCommandBufferRelease(commands);
  const auto ended = std::make_shared<std::atomic<bool>>(false);
  flights_.push_back({ended, units, gpu::Pace::Clock::now()});
  WGPUQueueWorkDoneCallbackInfo done{};
  done.mode = WGPUCallbackMode_AllowSpontaneous;
  done.callback = on_work_done;
  done.userdata1 = new Ended(ended);
  s.wgpuQueueOnSubmittedWorkDone(queue_, done);
  return take_error(what);
}

void WebGpuQueue::wait_oldest() {
  const Flight flight = flights_.front();
  flights_.pop_front();
  if (!health().ok()) return;
  wait_for(*flight.ended);
  if (*flight.ended) pace_.ended(flight.submitted, flight.units);
}

void WebGpuQueue::wait_for(const std::atomic<bool>& ended) {
  // A blocking poll has no time of its own, or aborts the process after a minute. lavapipe computes on this
  // CPU: it needs the core.
  gpu::Patience patience(adapter_.silence, adapter_.software() ? std::chrono::nanoseconds(0) : gpu::kSpin);
  while (patience.left()) {
    symbols().wgpuDevicePoll(device_, 0, nullptr);
    if (ended || !health().ok()) return;
  }
  const std::lock_guard<std::mutex> lock(errors_->mutex);
  errors_->lost = true;
  errors_->lost_reason = patience.text();
}

void WebGpuQueue::drain() {
  while (!flights_.empty()) wait_oldest();
}

Status WebGpuQueue::read(const gpu::Buffer& from, uint64_t bytes, void* to, const char* what) {
  const Symbols& s = symbols();
  drain();
  NF_TRY(take_error(what));
  auto answer = std::make_unique<MapAnswer>();
  WGPUBufferMapCallbackInfo info{};
  info.mode = WGPUCallbackMode_AllowSpontaneous;
  info.callback = on_map;
  info.userdata1 = answer.get();
  s.wgpuBufferMapAsync(handle_of(from), WGPUMapMode_Read, 0, bytes, info);
  if (!answer->done && health().ok()) wait_for(answer->done);
  if (!answer->done) {
    static_cast<void>(answer.release());  // the callback may still come and write there
    NF_TRY(take_error(what));
    return error(NF_INTERNAL, "%s: read-back was not answered", what);
  }
  if (answer->status != WGPUMapAsyncStatus_Success) {
    NF_TRY(take_error(what));
    return error(NF_INTERNAL, "%s: read-back failed: %s", what, answer->message.c_str());
  }
  const void* data = s.wgpuBufferGetConstMappedRange(handle_of(from), 0, bytes);
  if (data != nullptr) std::memcpy(to, data, bytes);
  s.wgpuBufferUnmap(
      handle_of(from));  // before any error is reported: a buffer left mapped cannot be used again
  return data != nullptr ? take_error(what) : error(NF_INTERNAL, "%s: read-back gave no memory", what);
}

}  // namespace nearfield::wgpu
