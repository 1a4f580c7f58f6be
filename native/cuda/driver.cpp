// SPDX-License-Identifier: Apache-2.0
#include "driver.hpp"

#include "cuda_build.hpp"

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace nearfield::cuda {
namespace {

// What the images need (compile.py); the pool functions came with 11.2.
constexpr int kNeededVersion = NEARFIELD_CUDA_OLDEST_DRIVER;

#if defined(_WIN32)
constexpr const char* kFile = "nvcuda.dll";
void* open_library(const char* file, std::string* reason) {
  HMODULE library = LoadLibraryA(file);
  if (library == nullptr) *reason = std::string(file) + ": error " + std::to_string(GetLastError());
  return reinterpret_cast<void*>(library);
}
void* find(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(reinterpret_cast<HMODULE>(library), name));
}
#else
constexpr const char* kFile = "libcuda.so.1";
void* open_library(const char* file, std::string* reason) {
  void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* text = dlerror();
    *reason = text != nullptr ? text : file;
  }
  return library;
}
void* find(void* library, const char* name) { return dlsym(library, name); }
#endif

}  // namespace

std::shared_ptr<Driver> Driver::open(const char* file) {
  auto driver = std::make_shared<Driver>();
  if (driver->load(file != nullptr ? file : kFile)) driver->enumerate();
  return driver;
}

bool Driver::load(const char* file) {
  std::string reason;
  // The library stays open: drivers keep threads and exit handlers.
  void* library = open_library(file, &reason);
  if (library == nullptr) {
    why_none_ = "the NVIDIA driver was not found: " + reason;
    return false;
  }
  const auto version_of =
      reinterpret_cast<decltype(Symbols::cuDriverGetVersion)>(find(library, "cuDriverGetVersion"));
  if (version_of == nullptr || version_of(&version_) != kSuccess) {
    why_none_ = std::string(file) + " is no CUDA driver: it does not tell its version";
    return false;
  }
  if (version_ < kNeededVersion) {
    why_none_ = "the NVIDIA driver is too old: it serves " + driver_text(version_) + ", this library needs " +
                driver_text(kNeededVersion) + " or later";
    why_none_status_ = NF_FAILED_PRECONDITION;
    return false;
  }
  const char* missing = nullptr;
#define X(name, arguments)                                                         \
  symbols_.name = reinterpret_cast<decltype(symbols_.name)>(find(library, #name)); \
  if (symbols_.name == nullptr && missing == nullptr) missing = #name;
  NF_CUDA_SYMBOLS(X)
#undef X
  if (missing != nullptr) {
    why_none_ = "the NVIDIA driver, " + driver_text(version_) + ", has no function " + missing;
    return false;
  }
  symbols_.cuMemPoolTrimTo =
      reinterpret_cast<decltype(symbols_.cuMemPoolTrimTo)>(find(library, "cuMemPoolTrimTo"));
  symbols_.cuTensorMapEncodeTiled =
      reinterpret_cast<decltype(symbols_.cuTensorMapEncodeTiled)>(find(library, "cuTensorMapEncodeTiled"));
  emulated_ = find(library, "nearfield_simt_version") != nullptr;
  using Silence = int (*)();
  if (const auto silence = reinterpret_cast<Silence>(find(library, "nearfield_simt_silence_ms"));
      silence != nullptr && silence() > 0)
    silence_ = std::chrono::milliseconds(silence());
  return true;
}

void Driver::enumerate() {
  int count = 0;
  Result result = symbols_.cuInit(0);
  if (result == kSuccess) result = symbols_.cuDeviceGetCount(&count);
  if (result == kNoDevice || (result == kSuccess && count == 0)) {
    why_none_ = "the NVIDIA driver, " + text() + ", found no GPU";
    why_none_status_ = NF_OK;
    return;
  }
  if (result != kSuccess) {
    why_none_ = "the NVIDIA driver, " + text() + ", could not be initialised: " + describe(result);
    return;
  }
  std::string others;
  for (int i = 0; i < count; ++i) {
    Gpu gpu;
    char name[128] = "";
    size_t bytes = 0;
    int major = 0, minor = 0, integrated = 0, pools = 0;
    const Symbols& s = symbols_;
    if (s.cuDeviceGet(&gpu.device, i) != kSuccess ||
        s.cuDeviceGetName(name, sizeof(name), gpu.device) != kSuccess ||
        s.cuDeviceTotalMem_v2(&bytes, gpu.device) != kSuccess ||
        s.cuDeviceGetAttribute(&gpu.multiprocessors, kMultiprocessors, gpu.device) != kSuccess ||
        s.cuDeviceGetAttribute(&major, kCapabilityMajor, gpu.device) != kSuccess ||
        s.cuDeviceGetAttribute(&minor, kCapabilityMinor, gpu.device) != kSuccess)
      continue;
    s.cuDeviceGetAttribute(&integrated, kIntegrated, gpu.device);
    s.cuDeviceGetAttribute(&pools, kMemoryPools, gpu.device);
    const auto ask = [&](Attribute attribute, uint32_t* value) {
      int answer = 0;
      if (s.cuDeviceGetAttribute(&answer, attribute, gpu.device) == kSuccess)
        *value = static_cast<uint32_t>(answer);
    };
    ask(kSharedOfBlock, &gpu.shared_of_block);
    ask(kSharedOfMultiprocessor, &gpu.shared_of_multiprocessor);
    ask(kSharedReserved, &gpu.shared_reserved);
    gpu.name = name;
    gpu.memory_bytes = bytes;
    gpu.capability = major * 10 + minor;
    gpu.integrated = integrated != 0;
    gpu.pools = pools != 0;
    gpu.silence = silence_;
    std::string why;
    gpu.images = images_for(images(), gpu.capability, version_, &why);
    if (!gpu.images.empty())
      gpus_.push_back(std::move(gpu));
    else
      others += (others.empty() ? "" : "; ") + gpu.name + ": " + why;
  }
  if (gpus_.empty() && !others.empty()) {
    why_none_ = "the NVIDIA driver, " + text() + ", found no GPU that the kernels run on: " + others;
    why_none_status_ = NF_OK;
    return;
  }
  if (gpus_.empty()) why_none_ = "none of the " + std::to_string(count) + " GPUs told what it is";
}

std::string Driver::text() const { return driver_text(version_); }

std::string Driver::describe(Result result) const {
  const char *name = nullptr, *text = nullptr;
  symbols_.cuGetErrorName(result, &name);
  symbols_.cuGetErrorString(result, &text);
  return (name != nullptr ? std::string(name) : "CUDA error " + std::to_string(result)) +
         (text != nullptr ? " (" + std::string(text) + ")" : "");
}

Status Driver::status(Result result, const char* what, const char* call) const {
  if (result == kSuccess) return {};
  const nf_status code = is_sticky(result)        ? NF_DEVICE_LOST
                         : result == kOutOfMemory ? NF_RESOURCE_EXHAUSTED
                                                  : NF_INTERNAL;
  const Status formatted = error(code, "%s: %s: %s", what, call, describe(result).c_str());
  return Status(code, formatted.message(), result);
}

bool Driver::is_sticky(Result result) {
  switch (result) {
    case 4:    // deinitialised
    case 46:   // device unavailable
    case 201:  // invalid context
    case 214:  // uncorrectable memory error
    case 220:  // uncorrectable link error
    case 226:  // an error that was contained to this process
    case 700:  // illegal address
    case 702:  // launch took too long
    case 709:  // context is destroyed
    case 710:  // assertion
    case 714:  // hardware stack error
    case 715:  // illegal instruction
    case 716:  // misaligned address
    case 717:  // invalid address space
    case 718:  // invalid program counter
    case 719:  // launch failed
    case 999:  // unknown
      return true;
    default:
      return false;
  }
}

}  // namespace nearfield::cuda
