// SPDX-License-Identifier: Apache-2.0
#include "buffers.hpp"

#include <cstring>
#include <utility>

#include "queue.hpp"

namespace nearfield::wgpu {

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
