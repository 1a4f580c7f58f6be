// SPDX-License-Identifier: Apache-2.0
#include "gpu.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace nearfield::wgpu {
namespace {

// Until the first dispatch has been measured. A unit is four dimensions of one row for one query. lavapipe
// does about 0.1 units a nanosecond and core, a small GPU 50.
constexpr double kFirstUnitsPerNsSoftware = 0.2;
constexpr double kFirstUnitsPerNsHardware = 20;

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

struct MapAnswer {
  bool done = false;
  WGPUMapAsyncStatus status = WGPUMapAsyncStatus_Error;
  std::string message;
};

void on_map(WGPUMapAsyncStatus status, WGPUStringView message, void* data, void*) {
  auto* answer = static_cast<MapAnswer*>(data);
  answer->done = true;
  answer->status = status;
  answer->message = text(message);
}

}  // namespace

Buffer::~Buffer() {
  if (handle_ == nullptr) return;
  // Destroy frees the memory at once, or when the work in flight that uses it has ended.
  symbols_->wgpuBufferDestroy(handle_);
  symbols_->wgpuBufferRelease(handle_);
}

Status Gpu::create(std::shared_ptr<Native> native, const Adapter& adapter, std::shared_ptr<Gpu>* out) {
  auto gpu = std::make_shared<Gpu>(std::move(native), adapter);
  const Symbols& s = gpu->symbols();
  // All that the adapter has: the defaults would cap buffers at 256 MiB.
  WGPULimits wanted = adapter.limits;
  wanted.nextInChain = nullptr;
  gpu->errors_ = new DeviceErrors;
  WGPUDeviceDescriptor descriptor{};
  descriptor.requiredLimits = &wanted;
  descriptor.deviceLostCallbackInfo.mode = WGPUCallbackMode_AllowSpontaneous;
  descriptor.deviceLostCallbackInfo.callback = on_lost;
  descriptor.deviceLostCallbackInfo.userdata1 = gpu->errors_;
  descriptor.uncapturedErrorCallbackInfo.callback = on_error;
  descriptor.uncapturedErrorCallbackInfo.userdata1 = gpu->errors_;
  DeviceAnswer answer;
  WGPURequestDeviceCallbackInfo info{};
  info.mode = WGPUCallbackMode_AllowSpontaneous;  // wgpu-native answers before it returns
  info.callback = on_device;
  info.userdata1 = &answer;
  s.wgpuAdapterRequestDevice(adapter.handle, &descriptor, info);
  if (answer.device == nullptr)
    return error(NF_UNAVAILABLE, "context_create: %s gave no device: %s", adapter.name.c_str(),
                 answer.message.c_str());
  gpu->device_ = answer.device;
  gpu->queue_ = s.wgpuDeviceGetQueue(answer.device);
  gpu->limits_ = wanted;
  gpu->first_units_per_ns_ = gpu->units_per_ns_ =
      adapter.software() ? kFirstUnitsPerNsSoftware : kFirstUnitsPerNsHardware;
  *out = std::move(gpu);
  return {};
}

Gpu::~Gpu() {
  if (device_ == nullptr) {
    delete errors_;
    return;
  }
  // wgpu-native waits for the device when the last reference goes and aborts the process when that fails: a
  // lost device is therefore kept, with what its callbacks write to.
  if (!health().ok()) return;
  drain();
  symbols().wgpuQueueRelease(queue_);
  symbols().wgpuDeviceRelease(device_);
  delete errors_;
}

Status Gpu::health() const {
  const std::lock_guard<std::mutex> lock(errors_->mutex);
  if (!errors_->lost) return {};
  return error(NF_DEVICE_LOST, "the device %s was lost: %s", adapter_.name.c_str(),
               errors_->lost_reason.empty() ? "no reason given" : errors_->lost_reason.c_str());
}

void Gpu::lose() {
  drain();
  symbols().wgpuDeviceDestroy(device_);
  symbols().wgpuDevicePoll(device_, 0, nullptr);
  const std::lock_guard<std::mutex> lock(errors_->mutex);
  errors_->lost = true;
}

Status Gpu::take_error(const char* what) {
  NF_TRY(health());
  const std::lock_guard<std::mutex> lock(errors_->mutex);
  if (errors_->type == WGPUErrorType_NoError) return {};
  const WGPUErrorType type = errors_->type;
  errors_->type = WGPUErrorType_NoError;
  const nf_status code = type == WGPUErrorType_OutOfMemory ? NF_RESOURCE_EXHAUSTED : NF_INTERNAL;
  const Status formatted = error(code, "%s: wgpu: %s", what, errors_->message.c_str());
  return Status(code, formatted.message(), type);
}

Status Gpu::create_buffer(uint64_t bytes, WGPUBufferUsage usage, const char* what, Buffer* out) {
  NF_TRY(health());
  if (bytes > limits_.maxBufferSize)
    return error(NF_RESOURCE_EXHAUSTED, "%s: %llu bytes in one buffer, %s allows %llu", what,
                 static_cast<unsigned long long>(bytes), adapter_.name.c_str(),
                 static_cast<unsigned long long>(limits_.maxBufferSize));
  WGPUBufferDescriptor descriptor{};
  descriptor.size = bytes;
  descriptor.usage = usage;
  Buffer buffer(&symbols(), symbols().wgpuDeviceCreateBuffer(device_, &descriptor), bytes);
  NF_TRY(take_error(what));
  if (!buffer)
    return error(NF_RESOURCE_EXHAUSTED, "%s: no buffer of %llu bytes", what,
                 static_cast<unsigned long long>(bytes));
  *out = std::move(buffer);
  return {};
}

void Gpu::write(const Buffer& buffer, uint64_t offset, const void* data, uint64_t bytes) {
  if (bytes != 0) symbols().wgpuQueueWriteBuffer(queue_, buffer.handle(), offset, data, bytes);
}

Status Gpu::submit(WGPUCommandEncoder encoder, double units, const char* what) {
  const Symbols& s = symbols();
  WGPUCommandBuffer commands = s.wgpuCommandEncoderFinish(encoder, nullptr);
  s.wgpuCommandEncoderRelease(encoder);
  // An invalid command buffer must not be submitted: wgpu-native treats that as fatal.
  if (Status status = take_error(what); !status.ok()) {
    if (commands != nullptr && status.code() != NF_DEVICE_LOST) s.wgpuCommandBufferRelease(commands);
    return status;
  }
  while (flights_.size() >= 2) wait_oldest();
  const WGPUSubmissionIndex index = s.wgpuQueueSubmitForIndex(queue_, 1, &commands);
  s.wgpuCommandBufferRelease(commands);
  flights_.push_back({index, units, Clock::now()});
  return take_error(what);
}

void Gpu::wait_oldest() {
  const Flight flight = flights_.front();
  flights_.pop_front();
  if (!health().ok()) return;
  symbols().wgpuDevicePoll(device_, 1, &flight.index);
  const Clock::time_point now = Clock::now();
  const double ns =
      std::chrono::duration<double, std::nano>(now - std::max(last_done_, flight.submitted)).count();
  last_done_ = now;
  if (flight.units <= 0) return;
  const double measured = flight.units / ns;
  // A short submission measures its own overhead, a busy machine measures the others: the pace slows only
  // when the target was missed, and not without end.
  if (measured > units_per_ns_)
    units_per_ns_ = std::min(measured, 2 * units_per_ns_);
  else if (ns > static_cast<double>(kDispatchTargetNs))
    units_per_ns_ = std::max({measured, units_per_ns_ / 2, first_units_per_ns_ / 16});
}

void Gpu::drain() {
  while (!flights_.empty()) wait_oldest();
}

Status Gpu::map_read(const Buffer& from, uint64_t bytes, void* to, const char* what) {
  const Symbols& s = symbols();
  drain();
  NF_TRY(take_error(what));
  auto answer = std::make_unique<MapAnswer>();
  WGPUBufferMapCallbackInfo info{};
  info.mode = WGPUCallbackMode_AllowSpontaneous;
  info.callback = on_map;
  info.userdata1 = answer.get();
  s.wgpuBufferMapAsync(from.handle(), WGPUMapMode_Read, 0, bytes, info);
  // Everything submitted has ended, so that one blocking poll answers.
  if (!answer->done && health().ok()) s.wgpuDevicePoll(device_, 1, nullptr);
  if (!answer->done) {
    static_cast<void>(answer.release());  // the callback may still come and write there
    NF_TRY(take_error(what));
    return error(NF_INTERNAL, "%s: read-back was not answered", what);
  }
  if (answer->status != WGPUMapAsyncStatus_Success) {
    NF_TRY(take_error(what));
    return error(NF_INTERNAL, "%s: read-back failed: %s", what, answer->message.c_str());
  }
  const void* data = s.wgpuBufferGetConstMappedRange(from.handle(), 0, bytes);
  if (data != nullptr) std::memcpy(to, data, bytes);
  s.wgpuBufferUnmap(
      from.handle());  // before any error is reported: a buffer left mapped cannot be used again
  return data != nullptr ? take_error(what) : error(NF_INTERNAL, "%s: read-back gave no memory", what);
}

}  // namespace nearfield::wgpu
