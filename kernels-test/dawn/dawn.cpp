// SPDX-License-Identifier: Apache-2.0
// wgpu-native's functions, as far as our backend calls them (symbols.hpp), over Dawn's library. Those that
// are the same in both are not here: the loader finds them in Dawn, which this library needs.
//
// Dawn checks WebGPU's rules and WGSL with code of its own (Tint). Warnings of Tint's are errors here.
#include "dawn.hpp"

#include <cstring>
#include <iterator>
#include <string>

#include "wgpu.h"

namespace nearfield::dawn {
namespace {

constexpr const char* kVersion = "Dawn chromium/6940";

// Dawn's function of a name that this library has as well.
template <class F>
F of_dawn(const char* name) {
  return reinterpret_cast<F>(wgpuGetProcAddress({name, WGPU_STRLEN}));
}

WGPUStringView copy(const std::string& text) {
  char* const chars = new char[text.size() + 1];
  std::memcpy(chars, text.c_str(), text.size() + 1);
  return {chars, text.size()};
}

std::string text(WGPUStringView v) {
  if (v.data == nullptr) return "";
  return v.length == WGPU_STRLEN ? std::string(v.data) : std::string(v.data, v.length);
}

constexpr const char* kToggles[] = {"allow_unsafe_apis"};  // subgroups are among them in this version
constexpr DawnTogglesDescriptor kTogglesDescriptor = {
    {nullptr, kDawnTogglesDescriptor}, std::size(kToggles), kToggles, 0, nullptr};

void on_adapter(WGPURequestAdapterStatus, WGPUAdapter adapter, WGPUStringView, void* to, void*) {
  *static_cast<WGPUAdapter*>(to) = adapter;
}

void on_work_done(WGPUQueueWorkDoneStatus status, void* data, void* callback) {
  reinterpret_cast<WGPUQueueWorkDoneCallback>(callback)(status, {}, data, nullptr);
}

void on_messages(uint32_t, const CompilationInfo* info, void* to, void*) {
  auto& report = *static_cast<std::string*>(to);
  for (size_t i = 0; info != nullptr && i < info->messageCount; ++i) {
    const CompilationMessage& m = info->messages[i];
    if (m.type == kMessageInfo) continue;
    report += (report.empty() ? "line " : "; line ") + std::to_string(m.lineNum) + ": " + text(m.message);
  }
}

}  // namespace
}  // namespace nearfield::dawn

using namespace nearfield::dawn;

extern "C" {
// Of Dawn's own, with structs as above.
WGPUFuture wgpuInstanceRequestAdapter2(WGPUInstance, const RequestAdapterOptions*,
                                       WGPURequestAdapterCallbackInfo);
WGPUFuture wgpuAdapterRequestDevice2(WGPUAdapter, const WGPUDeviceDescriptor*, WGPURequestDeviceCallbackInfo);
WGPUFuture wgpuBufferMapAsync2(WGPUBuffer, WGPUMapMode, size_t, size_t, WGPUBufferMapCallbackInfo);
WGPUFuture wgpuQueueOnSubmittedWorkDone2(WGPUQueue, QueueWorkDoneCallbackInfo2);
WGPUFuture wgpuShaderModuleGetCompilationInfo2(WGPUShaderModule, CompilationInfoCallbackInfo2);
void wgpuDeviceInjectError(WGPUDevice, WGPUErrorType, WGPUStringView);
WGPUAdapter wgpuDeviceGetAdapter(WGPUDevice);
WGPUInstance wgpuAdapterGetInstance(WGPUAdapter);

#define NF_EXPORT __attribute__((visibility("default")))

// kWgpuNativeMajor of native.cpp: the header that both sides are compiled with.
NF_EXPORT uint32_t wgpuGetVersion() { return 29u << 24; }
NF_EXPORT void wgpuSetLogCallback(WGPULogCallback, void*) {}
NF_EXPORT void wgpuSetLogLevel(WGPULogLevel) {}

NF_EXPORT WGPUInstance wgpuCreateInstance(const WGPUInstanceDescriptor*) {
  InstanceDescriptor descriptor{};
  descriptor.nextInChain = &kTogglesDescriptor.chain;
  return of_dawn<WGPUInstance (*)(const InstanceDescriptor*)>("wgpuCreateInstance")(&descriptor);
}

// The one adapter that Dawn prefers; it lists no others through this API.
NF_EXPORT size_t wgpuInstanceEnumerateAdapters(WGPUInstance instance,
                                               const WGPUInstanceEnumerateAdapterOptions*,
                                               WGPUAdapter* adapters) {
  RequestAdapterOptions options{};
  options.nextInChain = &kTogglesDescriptor.chain;
  options.backendType = WGPUBackendType_Vulkan;
  WGPUAdapter adapter = nullptr;
  WGPURequestAdapterCallbackInfo info{};
  info.mode = WGPUCallbackMode_AllowSpontaneous;  // Dawn answers before it returns
  info.callback = on_adapter;
  info.userdata1 = &adapter;
  wgpuInstanceRequestAdapter2(instance, &options, info);
  if (adapter == nullptr) return 0;
  if (adapters != nullptr)
    adapters[0] = adapter;
  else
    wgpuAdapterRelease(adapter);
  return 1;
}

NF_EXPORT WGPUStatus wgpuAdapterGetInfo(WGPUAdapter adapter, WGPUAdapterInfo* out) {
  AdapterPropertiesSubgroups subgroups{{nullptr, kAdapterPropertiesSubgroups}, 0, 0};
  WGPUAdapterInfo info{};
  info.nextInChain = &subgroups.chain;
  const auto get = of_dawn<WGPUStatus (*)(WGPUAdapter, WGPUAdapterInfo*)>("wgpuAdapterGetInfo");
  if (const WGPUStatus status = get(adapter, &info); status != WGPUStatus_Success) return status;
  *out = info;
  out->nextInChain = nullptr;
  out->vendor = copy(text(info.vendor));
  out->architecture = copy(text(info.architecture));
  out->device = copy(text(info.device));
  out->description = copy(text(info.description) + " / " + kVersion);
  out->subgroupMinSize = subgroups.subgroupMinSize;
  out->subgroupMaxSize = subgroups.subgroupMaxSize;
  of_dawn<void (*)(WGPUAdapterInfo)>("wgpuAdapterInfoFreeMembers")(info);
  return WGPUStatus_Success;
}

NF_EXPORT void wgpuAdapterInfoFreeMembers(WGPUAdapterInfo info) {
  for (const WGPUStringView& v : {info.vendor, info.architecture, info.device, info.description})
    delete[] v.data;
}

NF_EXPORT WGPUStatus wgpuAdapterGetLimits(WGPUAdapter adapter, WGPULimits* out) {
  SupportedLimits supported{};
  const auto get = of_dawn<WGPUStatus (*)(WGPUAdapter, SupportedLimits*)>("wgpuAdapterGetLimits");
  const WGPUStatus status = get(adapter, &supported);
  *out = {};
#define X(name) out->name = supported.limits.name;
  NF_DAWN_LIMITS(X)
#undef X
  return status;
}

NF_EXPORT WGPUBool wgpuAdapterHasFeature(WGPUAdapter adapter, WGPUFeatureName feature) {
  return feature == static_cast<WGPUFeatureName>(WGPUNativeFeature_Subgroup) &&
         of_dawn<WGPUBool (*)(WGPUAdapter, WGPUFeatureName)>("wgpuAdapterHasFeature")(adapter, kSubgroups);
}

NF_EXPORT WGPUFuture wgpuAdapterRequestDevice(WGPUAdapter adapter, const WGPUDeviceDescriptor* wanted,
                                              WGPURequestDeviceCallbackInfo info) {
  SupportedLimits required;
  std::memset(&required, 0xff, sizeof(required));  // undefined: the default
  required.nextInChain = nullptr;
#define X(name) required.limits.name = wanted->requiredLimits->name;
  NF_DAWN_LIMITS(X)
#undef X
  // Who waits for one device processes the events of all. Subgroups are all that our backend asks for.
  const WGPUFeatureName features[] = {kImplicitDeviceSynchronization, kSubgroups};
  WGPUDeviceDescriptor descriptor = *wanted;
  descriptor.nextInChain = const_cast<WGPUChainedStruct*>(&kTogglesDescriptor.chain);
  descriptor.requiredFeatureCount = 1 + wanted->requiredFeatureCount;
  descriptor.requiredFeatures = features;
  descriptor.requiredLimits = reinterpret_cast<const WGPULimits*>(&required);
  return wgpuAdapterRequestDevice2(adapter, &descriptor, info);
}

NF_EXPORT WGPUBindGroupLayout wgpuDeviceCreateBindGroupLayout(WGPUDevice device,
                                                              const WGPUBindGroupLayoutDescriptor* wanted) {
  BindGroupLayoutEntry entries[16]{};
  if (wanted->entryCount > std::size(entries)) return nullptr;
  for (size_t i = 0; i < wanted->entryCount; ++i) {
    entries[i].binding = wanted->entries[i].binding;
    entries[i].visibility = wanted->entries[i].visibility;
    entries[i].buffer = wanted->entries[i].buffer;
    entries[i].buffer.type = static_cast<WGPUBufferBindingType>(wanted->entries[i].buffer.type - 1);
  }
  WGPUBindGroupLayoutDescriptor descriptor = *wanted;
  descriptor.entries = reinterpret_cast<const WGPUBindGroupLayoutEntry*>(entries);
  using Create = WGPUBindGroupLayout (*)(WGPUDevice, const WGPUBindGroupLayoutDescriptor*);
  return of_dawn<Create>("wgpuDeviceCreateBindGroupLayout")(device, &descriptor);
}

NF_EXPORT WGPUShaderModule wgpuDeviceCreateShaderModuleTrusted(WGPUDevice device,
                                                               const WGPUShaderModuleDescriptor* wanted,
                                                               WGPUShaderRuntimeChecks) {
  WGPUShaderSourceWGSL source = *reinterpret_cast<const WGPUShaderSourceWGSL*>(wanted->nextInChain);
  std::string wgsl = text(source.code);
  // WGSL's own line for what wgpu-native takes without one; no new line, so that numbers of lines stay.
  if (wgpuDeviceHasFeature(device, kSubgroups)) wgsl = "enable subgroups; " + wgsl;
  source.code = {wgsl.data(), wgsl.size()};
  WGPUShaderModuleDescriptor descriptor = *wanted;
  descriptor.nextInChain = &source.chain;
  WGPUShaderModule module = wgpuDeviceCreateShaderModule(device, &descriptor);
  std::string report;
  CompilationInfoCallbackInfo2 info{};
  info.mode = WGPUCallbackMode_AllowSpontaneous;  // Dawn answers before it returns
  info.callback = on_messages;
  info.userdata1 = &report;
  wgpuShaderModuleGetCompilationInfo2(module, info);
  if (!report.empty())
    wgpuDeviceInjectError(device, WGPUErrorType_Validation, {report.data(), report.size()});
  return module;
}

NF_EXPORT WGPUBool wgpuDevicePoll(WGPUDevice device, WGPUBool, const WGPUSubmissionIndex*) {
  WGPUAdapter adapter = wgpuDeviceGetAdapter(device);
  WGPUInstance instance = wgpuAdapterGetInstance(adapter);
  wgpuInstanceProcessEvents(instance);
  wgpuInstanceRelease(instance);
  wgpuAdapterRelease(adapter);
  return 0;
}

NF_EXPORT WGPUFuture wgpuBufferMapAsync(WGPUBuffer buffer, WGPUMapMode mode, size_t offset, size_t size,
                                        WGPUBufferMapCallbackInfo info) {
  return wgpuBufferMapAsync2(buffer, mode, offset, size, info);
}

NF_EXPORT WGPUFuture wgpuQueueOnSubmittedWorkDone(WGPUQueue queue, WGPUQueueWorkDoneCallbackInfo info) {
  return wgpuQueueOnSubmittedWorkDone2(
      queue, {nullptr, info.mode, on_work_done, info.userdata1, reinterpret_cast<void*>(info.callback)});
}

NF_EXPORT WGPUSubmissionIndex wgpuQueueSubmitForIndex(WGPUQueue queue, size_t count,
                                                      const WGPUCommandBuffer* commands) {
  wgpuQueueSubmit(queue, count, commands);
  return 0;
}
}
