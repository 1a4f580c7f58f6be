// SPDX-License-Identifier: Apache-2.0
// wgpu-native, opened once per Backend: the library, its instance, the adapters in order of preference.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "gpu/patience.hpp"
#include "status.hpp"
#include "symbols.hpp"

namespace nearfield::wgpu {

struct Adapter {
  WGPUAdapter handle = nullptr;
  WGPULimits limits{};
  std::string name, driver;
  WGPUBackendType api = WGPUBackendType_Undefined;
  WGPUAdapterType type = WGPUAdapterType_Unknown;
  uint32_t vendor_id = 0, device_id = 0, subgroup_min = 0;
  bool subgroups = false;                                // kernels may use subgroup operations
  std::chrono::nanoseconds silence = gpu::kMostSilence;  // after which the device counts as hung

  bool software() const { return type == WGPUAdapterType_CPU; }
};

class Native {
 public:
  // Never fails: without wgpu-native or without an adapter, adapters() is empty and why_none() says why.
  static std::shared_ptr<Native> open();
  Native() = default;
  ~Native();
  Native(const Native&) = delete;
  Native& operator=(const Native&) = delete;

  const Symbols& symbols() const { return symbols_; }
  const std::vector<Adapter>& adapters() const { return adapters_; }
  const std::string& why_none() const { return why_none_; }
  const std::string& version() const { return version_; }  // "29.0.1.1", "" when not loaded

 private:
  bool load();
  bool try_file(const std::string& file, std::string* reason);
  void enumerate();

  void* library_ = nullptr;
  Symbols symbols_;
  WGPUInstance instance_ = nullptr;
  std::vector<Adapter> adapters_;
  std::string why_none_, version_;
};

}  // namespace nearfield::wgpu
