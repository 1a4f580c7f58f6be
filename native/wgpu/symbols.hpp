// SPDX-License-Identifier: Apache-2.0
// Every function of wgpu-native that this backend calls, looked up at run time. Several functions of webgpu.h
// are declared but not implemented in wgpu-native and abort the process when called (all *SetLabel,
// wgpuGetInstanceFeatures, wgpuBufferReadMappedRange ...): check before adding one.
#pragma once

#include "webgpu.h"
#include "wgpu.h"

#define NF_WGPU_SYMBOLS(X)                    \
  X(wgpuGetVersion)                           \
  X(wgpuSetLogCallback)                       \
  X(wgpuSetLogLevel)                          \
  X(wgpuCreateInstance)                       \
  X(wgpuInstanceEnumerateAdapters)            \
  X(wgpuInstanceRelease)                      \
  X(wgpuAdapterGetInfo)                       \
  X(wgpuAdapterInfoFreeMembers)               \
  X(wgpuAdapterGetLimits)                     \
  X(wgpuAdapterHasFeature)                    \
  X(wgpuAdapterRequestDevice)                 \
  X(wgpuAdapterRelease)                       \
  X(wgpuDeviceGetQueue)                       \
  X(wgpuDeviceCreateBuffer)                   \
  X(wgpuDeviceCreateBindGroupLayout)          \
  X(wgpuDeviceCreatePipelineLayout)           \
  X(wgpuDeviceCreateShaderModuleTrusted)      \
  X(wgpuDeviceCreateComputePipeline)          \
  X(wgpuDeviceCreateBindGroup)                \
  X(wgpuDeviceCreateCommandEncoder)           \
  X(wgpuDevicePoll)                           \
  X(wgpuDeviceDestroy)                        \
  X(wgpuDeviceRelease)                        \
  X(wgpuBufferMapAsync)                       \
  X(wgpuBufferGetConstMappedRange)            \
  X(wgpuBufferUnmap)                          \
  X(wgpuBufferDestroy)                        \
  X(wgpuBufferRelease)                        \
  X(wgpuBindGroupLayoutRelease)               \
  X(wgpuPipelineLayoutRelease)                \
  X(wgpuShaderModuleRelease)                  \
  X(wgpuComputePipelineRelease)               \
  X(wgpuBindGroupRelease)                     \
  X(wgpuCommandEncoderBeginComputePass)       \
  X(wgpuCommandEncoderCopyBufferToBuffer)     \
  X(wgpuCommandEncoderFinish)                 \
  X(wgpuCommandEncoderRelease)                \
  X(wgpuCommandBufferRelease)                 \
  X(wgpuComputePassEncoderSetPipeline)        \
  X(wgpuComputePassEncoderSetBindGroup)       \
  X(wgpuComputePassEncoderDispatchWorkgroups) \
  X(wgpuComputePassEncoderEnd)                \
  X(wgpuComputePassEncoderRelease)            \
  X(wgpuQueueOnSubmittedWorkDone)             \
  X(wgpuQueueWriteBuffer)                     \
  X(wgpuQueueSubmitForIndex)                  \
  X(wgpuQueueRelease)

namespace nearfield::wgpu {

struct Symbols {
#define X(name) decltype(&::name) name = nullptr;
  NF_WGPU_SYMBOLS(X)
#undef X
};

inline WGPUStringView view(const char* text) { return {text, WGPU_STRLEN}; }

}  // namespace nearfield::wgpu
