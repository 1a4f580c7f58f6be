// SPDX-License-Identifier: Apache-2.0
// Dawn's webgpu.h (chromium/6940) where it differs from that of wgpu-native in what our backend uses.
// layouts.py holds these structs, and those that are taken to be the same, to the description in Dawn's
// wheel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "webgpu.h"

namespace nearfield::dawn {

// Dawn's numbers; types of bindings are one less than in wgpu-native.
inline constexpr auto kSubgroups = static_cast<WGPUFeatureName>(13);
inline constexpr auto kImplicitDeviceSynchronization = static_cast<WGPUFeatureName>(0x00050004);
inline constexpr auto kAdapterPropertiesSubgroups = static_cast<WGPUSType>(10);
inline constexpr auto kDawnTogglesDescriptor = static_cast<WGPUSType>(0x0005000A);
inline constexpr uint32_t kMessageInfo = 3;

// Fields of a device's limits that both have under one name.
#define NF_DAWN_LIMITS(X)                      \
  X(maxTextureDimension1D)                     \
  X(maxTextureDimension2D)                     \
  X(maxTextureDimension3D)                     \
  X(maxTextureArrayLayers)                     \
  X(maxBindGroups)                             \
  X(maxBindGroupsPlusVertexBuffers)            \
  X(maxBindingsPerBindGroup)                   \
  X(maxDynamicUniformBuffersPerPipelineLayout) \
  X(maxDynamicStorageBuffersPerPipelineLayout) \
  X(maxSampledTexturesPerShaderStage)          \
  X(maxSamplersPerShaderStage)                 \
  X(maxStorageBuffersPerShaderStage)           \
  X(maxStorageTexturesPerShaderStage)          \
  X(maxUniformBuffersPerShaderStage)           \
  X(maxUniformBufferBindingSize)               \
  X(maxStorageBufferBindingSize)               \
  X(minUniformBufferOffsetAlignment)           \
  X(minStorageBufferOffsetAlignment)           \
  X(maxVertexBuffers)                          \
  X(maxBufferSize)                             \
  X(maxVertexAttributes)                       \
  X(maxVertexBufferArrayStride)                \
  X(maxInterStageShaderVariables)              \
  X(maxColorAttachments)                       \
  X(maxColorAttachmentBytesPerSample)          \
  X(maxComputeWorkgroupStorageSize)            \
  X(maxComputeInvocationsPerWorkgroup)         \
  X(maxComputeWorkgroupSizeX)                  \
  X(maxComputeWorkgroupSizeY)                  \
  X(maxComputeWorkgroupSizeZ)                  \
  X(maxComputeWorkgroupsPerDimension)

struct Limits {
  uint32_t maxTextureDimension1D, maxTextureDimension2D, maxTextureDimension3D, maxTextureArrayLayers;
  uint32_t maxBindGroups, maxBindGroupsPlusVertexBuffers, maxBindingsPerBindGroup;
  uint32_t maxDynamicUniformBuffersPerPipelineLayout, maxDynamicStorageBuffersPerPipelineLayout;
  uint32_t maxSampledTexturesPerShaderStage, maxSamplersPerShaderStage, maxStorageBuffersPerShaderStage;
  uint32_t maxStorageTexturesPerShaderStage, maxUniformBuffersPerShaderStage;
  uint64_t maxUniformBufferBindingSize, maxStorageBufferBindingSize;
  uint32_t minUniformBufferOffsetAlignment, minStorageBufferOffsetAlignment;
  uint32_t maxVertexBuffers;
  uint64_t maxBufferSize;
  uint32_t maxVertexAttributes, maxVertexBufferArrayStride;
  uint32_t maxInterStageShaderComponents, maxInterStageShaderVariables;
  uint32_t maxColorAttachments, maxColorAttachmentBytesPerSample;
  uint32_t maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup;
  uint32_t maxComputeWorkgroupSizeX, maxComputeWorkgroupSizeY, maxComputeWorkgroupSizeZ;
  uint32_t maxComputeWorkgroupsPerDimension;
  uint32_t maxStorageBuffersInVertexStage, maxStorageTexturesInVertexStage;
  uint32_t maxStorageBuffersInFragmentStage, maxStorageTexturesInFragmentStage;
};

struct SupportedLimits {  // RequiredLimits is the same
  WGPUChainedStruct* nextInChain;
  Limits limits;
};

struct InstanceDescriptor {
  const WGPUChainedStruct* nextInChain;
  struct {
    const WGPUChainedStruct* nextInChain;
    WGPUBool timedWaitAnyEnable;
    size_t timedWaitAnyMaxCount;
  } features;
};

struct RequestAdapterOptions {
  const WGPUChainedStruct* nextInChain;
  WGPUSurface compatibleSurface;
  uint32_t featureLevel, powerPreference;
  WGPUBackendType backendType;
  WGPUBool forceFallbackAdapter, compatibilityMode;
};

struct AdapterPropertiesSubgroups {
  WGPUChainedStruct chain;
  uint32_t subgroupMinSize, subgroupMaxSize;
};

struct DawnTogglesDescriptor {
  WGPUChainedStruct chain;
  size_t enabledToggleCount;
  const char* const* enabledToggles;
  size_t disabledToggleCount;
  const char* const* disabledToggles;
};

struct BindGroupLayoutEntry {
  const WGPUChainedStruct* nextInChain;
  uint32_t binding;
  WGPUShaderStage visibility;
  WGPUBufferBindingLayout buffer;
  WGPUSamplerBindingLayout sampler;
  WGPUTextureBindingLayout texture;
  WGPUStorageTextureBindingLayout storageTexture;
};

struct CompilationMessage {
  const WGPUChainedStruct* nextInChain;
  WGPUStringView message;
  uint32_t type;
  uint64_t lineNum, linePos, offset, length, utf16LinePos, utf16Offset, utf16Length;
};

struct CompilationInfo {
  const WGPUChainedStruct* nextInChain;
  size_t messageCount;
  const CompilationMessage* messages;
};

using QueueWorkDoneCallback = void (*)(WGPUQueueWorkDoneStatus, void*, void*);
struct QueueWorkDoneCallbackInfo2 {
  const WGPUChainedStruct* nextInChain;
  WGPUCallbackMode mode;
  QueueWorkDoneCallback callback;
  void* userdata1;
  void* userdata2;
};

using CompilationInfoCallback = void (*)(uint32_t, const CompilationInfo*, void*, void*);
struct CompilationInfoCallbackInfo2 {
  const WGPUChainedStruct* nextInChain;
  WGPUCallbackMode mode;
  CompilationInfoCallback callback;
  void* userdata1;
  void* userdata2;
};

}  // namespace nearfield::dawn
