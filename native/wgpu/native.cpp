// SPDX-License-Identifier: Apache-2.0
#include "native.hpp"

#include <algorithm>
#include <cstdlib>

#include "library.hpp"

namespace nearfield::wgpu {
namespace {

// webgpu.h is not stable yet: struct layouts belong to one major version of wgpu-native, that of the wheel in
// requirements-wgpu.txt.
constexpr uint32_t kWgpuNativeMajor = 29;

#if defined(_WIN32)
constexpr const char* kFileNames[] = {"wgpu_native-release.dll", "wgpu_native.dll"};
// The GPU's own API comes first: a GPU that is there through several is reported once.
constexpr WGPUBackendType kApis[] = {WGPUBackendType_Vulkan, WGPUBackendType_D3D12};
constexpr WGPUInstanceBackend kInstanceBackends = WGPUInstanceBackend_Vulkan | WGPUInstanceBackend_DX12;
#elif defined(__APPLE__)
constexpr const char* kFileNames[] = {"libwgpu_native-release.dylib", "libwgpu_native.dylib"};
constexpr WGPUBackendType kApis[] = {WGPUBackendType_Metal};
constexpr WGPUInstanceBackend kInstanceBackends = WGPUInstanceBackend_Metal;
#else
constexpr const char* kFileNames[] = {"libwgpu_native-release.so", "libwgpu_native.so"};
constexpr WGPUBackendType kApis[] = {WGPUBackendType_Vulkan};
constexpr WGPUInstanceBackend kInstanceBackends = WGPUInstanceBackend_Vulkan;
#endif

std::string text(WGPUStringView v) {
  if (v.data == nullptr) return "";
  return v.length == WGPU_STRLEN ? std::string(v.data) : std::string(v.data, v.length);
}

const char* api_name(WGPUBackendType api) {
  switch (api) {
    case WGPUBackendType_Vulkan:
      return "Vulkan";
    case WGPUBackendType_D3D12:
      return "D3D12";
    case WGPUBackendType_Metal:
      return "Metal";
    default:
      return "WebGPU";
  }
}

int rank_of(WGPUAdapterType type) {
  switch (type) {
    case WGPUAdapterType_DiscreteGPU:
      return 0;
    case WGPUAdapterType_IntegratedGPU:
      return 1;
    case WGPUAdapterType_CPU:
      return 3;
    default:
      return 2;
  }
}

// Installed so that nothing is ever written by wgpu-native's own logger.
void swallow_log(WGPULogLevel, WGPUStringView, void*) {}

std::string no_adapter_reason() {
#if defined(_WIN32)
  return "no adapter was found: neither a Vulkan nor a Direct3D 12 driver is installed";
#elif defined(__APPLE__)
  return "no Metal device was found";
#else
  std::string reason;
  void* loader = open_library("libvulkan.so.1", &reason);
  if (loader == nullptr)
    return "no Vulkan loader (libvulkan.so.1) was found; install libvulkan1 (Debian, Ubuntu), vulkan-loader "
           "(Fedora) or your system's package of it";
  close_library(loader);
  return "the Vulkan loader found no usable driver; install the GPU's driver, or mesa-vulkan-drivers for a "
         "software one";
#endif
}

}  // namespace

std::shared_ptr<Native> Native::open() {
  auto native = std::make_shared<Native>();
  if (native->load()) native->enumerate();
  return native;
}

Native::~Native() {
  for (const Adapter& adapter : adapters_) symbols_.wgpuAdapterRelease(adapter.handle);
  if (instance_ != nullptr) symbols_.wgpuInstanceRelease(instance_);
  // The library stays open: it and the drivers under it keep threads and exit handlers.
}

bool Native::try_file(const std::string& file, std::string* reason) {
  void* library = open_library(file, reason);
  if (library == nullptr) return false;
  Symbols symbols;
  const char* missing = nullptr;
#define X(name)                                                                            \
  symbols.name = reinterpret_cast<decltype(symbols.name)>(library_symbol(library, #name)); \
  if (symbols.name == nullptr && missing == nullptr) missing = #name;
  NF_WGPU_SYMBOLS(X)
#undef X
  if (missing != nullptr) {
    *reason = file + ": has no function " + missing;
    close_library(library);
    return false;
  }
  const uint32_t v = symbols.wgpuGetVersion();
  const std::string version = std::to_string(v >> 24) + "." + std::to_string(v >> 16 & 0xff) + "." +
                              std::to_string(v >> 8 & 0xff) + "." + std::to_string(v & 0xff);
  if (v >> 24 != kWgpuNativeMajor) {
    *reason = file + ": is wgpu-native " + version + ", this library needs version " +
              std::to_string(kWgpuNativeMajor);
    close_library(library);
    return false;
  }
  library_ = library;
  symbols_ = symbols;
  version_ = version;
  return true;
}

bool Native::load() {
  std::string reason;
  if (const char* file = std::getenv("NEARFIELD_WGPU_NATIVE"); file != nullptr && *file != '\0') {
    if (try_file(file, &reason)) return true;
    why_none_ = "wgpu-native could not be opened from NEARFIELD_WGPU_NATIVE: " + reason;
    return false;
  }
  std::string tried;
  const std::string folder = folder_of(reinterpret_cast<const void*>(&swallow_log));
  for (const std::string& prefix : {folder, std::string()}) {
    for (const char* name : kFileNames) {
      if (try_file(prefix + name, &reason)) return true;
      tried += (tried.empty() ? "" : "; ") + reason;
    }
  }
  why_none_ = "wgpu-native was not found: " + tried;
  return false;
}

void Native::enumerate() {
  symbols_.wgpuSetLogCallback(swallow_log, nullptr);
  symbols_.wgpuSetLogLevel(WGPULogLevel_Off);
  WGPUInstanceExtras extras{};
  extras.chain.sType = static_cast<WGPUSType>(WGPUSType_InstanceExtras);
  extras.backends = kInstanceBackends;
  WGPUInstanceDescriptor descriptor{};
  descriptor.nextInChain = &extras.chain;
  instance_ = symbols_.wgpuCreateInstance(&descriptor);
  if (instance_ == nullptr) {
    why_none_ = "wgpu-native " + version_ + " could not create an instance";
    return;
  }
  std::vector<WGPUAdapter> handles(symbols_.wgpuInstanceEnumerateAdapters(instance_, nullptr, nullptr));
  if (!handles.empty())
    handles.resize(
        std::min(handles.size(), symbols_.wgpuInstanceEnumerateAdapters(instance_, nullptr, handles.data())));
  std::vector<Adapter> found;
  for (WGPUAdapter handle : handles) {
    WGPUAdapterInfo info{};
    Adapter adapter;
    adapter.handle = handle;
    if (symbols_.wgpuAdapterGetInfo(handle, &info) != WGPUStatus_Success ||
        symbols_.wgpuAdapterGetLimits(handle, &adapter.limits) != WGPUStatus_Success) {
      symbols_.wgpuAdapterRelease(handle);
      continue;
    }
    adapter.name = text(info.device);
    adapter.api = info.backendType;
    adapter.driver = api_name(info.backendType);
    for (const std::string& part : {text(info.vendor), text(info.description), "wgpu-native " + version_})
      if (!part.empty()) adapter.driver.append(" / ").append(part);
    adapter.type = info.adapterType;
    adapter.vendor_id = info.vendorID;
    adapter.device_id = info.deviceID;
    adapter.subgroup_min = info.subgroupMinSize;
    // wgpu-native's own name: it does not know the standard's yet, nor WGSL's `enable subgroups`.
    adapter.subgroups =
        symbols_.wgpuAdapterHasFeature(handle, static_cast<WGPUFeatureName>(WGPUNativeFeature_Subgroup));
    symbols_.wgpuAdapterInfoFreeMembers(info);
    found.push_back(std::move(adapter));
  }
  // The same GPU through a less preferred API is left out; equal GPUs of one API are different GPUs.
  for (WGPUBackendType api : kApis) {
    const size_t before = adapters_.size();
    for (Adapter& adapter : found) {
      if (adapter.handle == nullptr || adapter.api != api) continue;
      const bool known = std::any_of(
          adapters_.begin(), adapters_.begin() + static_cast<ptrdiff_t>(before), [&](const Adapter& a) {
            return a.vendor_id == adapter.vendor_id && a.device_id == adapter.device_id;
          });
      if (!known) {
        adapters_.push_back(adapter);
        adapter.handle = nullptr;
      }
    }
  }
  for (const Adapter& adapter : found)
    if (adapter.handle != nullptr) symbols_.wgpuAdapterRelease(adapter.handle);
  std::stable_sort(adapters_.begin(), adapters_.end(),
                   [](const Adapter& a, const Adapter& b) { return rank_of(a.type) < rank_of(b.type); });
  if (adapters_.empty()) why_none_ = no_adapter_reason();
}

}  // namespace nearfield::wgpu
