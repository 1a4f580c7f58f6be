// SPDX-License-Identifier: Apache-2.0
// What wgpu-native answers through callbacks, each with what it writes to (userdata1). They may come on any
// thread that polls, and nothing may be thrown there.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "symbols.hpp"

namespace nearfield::wgpu {

struct DeviceErrors {
  std::mutex mutex;
  bool lost = false;
  std::string lost_reason;
  WGPUErrorType type = WGPUErrorType_NoError;  // the first error since the last take()
  std::string message;
};
void on_lost(WGPUDevice const*, WGPUDeviceLostReason, WGPUStringView message, void* data, void*);
void on_error(WGPUDevice const*, WGPUErrorType type, WGPUStringView message, void* data, void*);

struct DeviceAnswer {
  WGPUDevice device = nullptr;
  std::string message;
};
void on_device(WGPURequestDeviceStatus status, WGPUDevice device, WGPUStringView message, void* data, void*);

// Owned by the queue and by the callback, which may come after the queue has given up.
using Ended = std::shared_ptr<std::atomic<bool>>;
void on_work_done(WGPUQueueWorkDoneStatus, WGPUStringView, void* data, void*);

struct MapAnswer {
  std::atomic<bool> done = false;
  WGPUMapAsyncStatus status = WGPUMapAsyncStatus_Error;
  std::string message;
};
void on_map(WGPUMapAsyncStatus status, WGPUStringView message, void* data, void*);

}  // namespace nearfield::wgpu
