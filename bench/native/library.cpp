// SPDX-License-Identifier: Apache-2.0
#include "library.hpp"

#include <dlfcn.h>

namespace nearfield::bench {
namespace {
#if defined(__APPLE__)
constexpr const char* kSuffix = ".dylib";
#else
constexpr const char* kSuffix = ".so";
#endif
}  // namespace

void Call::check(nf_status status) const {
  if (status != NF_OK) throw Refused(error_.message, status == NF_UNIMPLEMENTED);
}

Library::Library(const std::string& folder, const std::string& backend, const std::string& path,
                 int threads) {
  const std::string file = folder + "/libnearfield_" + backend + kSuffix;
  // Never closed: drivers want their code until the process ends.
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw Refused("backend " + backend + ": " + dlerror());
  const auto get_api = reinterpret_cast<const nf_api* (*)(uint32_t)>(dlsym(library, "nf_get_api"));
  api_ = get_api == nullptr ? nullptr : get_api(NF_ABI_MAJOR);
  if (api_ == nullptr) throw Refused(format("%s does not speak ABI %d", file.c_str(), NF_ABI_MAJOR));

  Call count_call;
  int32_t devices = 0;
  count_call.check(api_->device_count(&devices, count_call.abi()));
  if (devices == 0) throw Refused("backend " + backend + " has no device: " + count_call.message());
  int32_t chosen = 0;  // hardware before a GPU API on the CPU
  for (int32_t device = devices - 1; device >= 0; --device) {
    auto info = sized<nf_device_info>();
    Call call;
    call.check(api_->device_info(device, &info, call.abi()));
    if (info.software == 0 || devices == 1) chosen = device;
  }
  auto desc = sized<nf_context_desc>();
  desc.device = chosen;
  desc.threads = threads;
  desc.force_path = path.empty() ? nullptr : path.c_str();
  Call create;
  create.check(api_->context_create(&desc, &context_, create.abi()));
  info_ = sized<nf_device_info>();
  Call call;
  call.check(api_->device_info(chosen, &info_, call.abi()));
}

Library::~Library() {
  if (api_ != nullptr) api_->context_destroy(context_);
}

}  // namespace nearfield::bench
