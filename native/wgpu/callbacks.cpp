// SPDX-License-Identifier: Apache-2.0
#include "callbacks.hpp"

#include <new>

namespace nearfield::wgpu {
namespace {

// A text that finds no memory is left out.
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

}  // namespace

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

void on_device(WGPURequestDeviceStatus status, WGPUDevice device, WGPUStringView message, void* data, void*) {
  auto* answer = static_cast<DeviceAnswer*>(data);
  if (status == WGPURequestDeviceStatus_Success) answer->device = device;
  answer->message = text(message);
}

void on_work_done(WGPUQueueWorkDoneStatus, WGPUStringView, void* data, void*) {
  const std::unique_ptr<Ended> ended(static_cast<Ended*>(data));
  (*ended)->store(true);
}

void on_map(WGPUMapAsyncStatus status, WGPUStringView message, void* data, void*) {
  auto* answer = static_cast<MapAnswer*>(data);
  answer->status = status;
  answer->message = text(message);
  answer->done = true;
}

}  // namespace nearfield::wgpu
