// SPDX-License-Identifier: Apache-2.0
// A libcuda.so.1 that times every launch by an event before it and one after it, and hands everything on to
// the driver that NEARFIELD_CLOCK_DRIVER names. A line for each launch, in their order, goes to
// NEARFIELD_CLOCK_LAUNCHES: kernel and nanoseconds. For ./nearfield prove: the ABI has no clock of the
// device, and profilers need rights that machines do not always give.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "driver.hpp"

namespace nearfield::cuda {
namespace {

constexpr unsigned kEventWithTiming = 0;

void* find(const char* name) {
  static void* const driver = [] {
    const char* const path = std::getenv("NEARFIELD_CLOCK_DRIVER");
    void* const opened = path != nullptr ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
    if (opened == nullptr)
      std::fprintf(stderr, "kernel_clock: no driver: %s\n", path != nullptr ? dlerror() : "");
    return opened;
  }();
  return driver != nullptr ? dlsym(driver, name) : nullptr;
}

struct Launch {
  std::string kernel;
  EventHandle begin, end;
};

class Clock {
 public:
  static Clock& get() {
    static Clock* const clock = new Clock;  // drivers call from exit handlers
    return *clock;
  }

  Result get_function(FunctionHandle* function, ModuleHandle module, const char* name) {
    const Result result = real_.cuModuleGetFunction(function, module, name);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (result == kSuccess) names_[*function] = name;
    return result;
  }

  template <class Work>
  Result launch(FunctionHandle function, StreamHandle stream, const Work& work) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Launch launch{names_[function], event(), event()};
    real_.cuEventRecord(launch.begin, stream);
    const Result result = work(real_.cuLaunchKernel);
    real_.cuEventRecord(launch.end, stream);
    launches_.push_back(std::move(launch));
    return result;
  }

  // Whoever waits for his own event has waited for the launches before it.
  Result query(EventHandle event) {
    const Result result = real_.cuEventQuery(event);
    if (result == kSuccess) write();
    return result;
  }

 private:
  Clock() {
#define X(name, arguments) real_.name = reinterpret_cast<decltype(real_.name)>(find(#name));
    NF_CUDA_SYMBOLS(X)
#undef X
    elapsed_ = reinterpret_cast<decltype(elapsed_)>(find("cuEventElapsedTime"));
    const char* const path = std::getenv("NEARFIELD_CLOCK_LAUNCHES");
    out_ = path != nullptr ? std::fopen(path, "a") : nullptr;
  }

  EventHandle event() {
    EventHandle made = nullptr;
    if (spare_.empty()) {
      real_.cuEventCreate(&made, kEventWithTiming);
    } else {
      made = spare_.back();
      spare_.pop_back();
    }
    return made;
  }

  void write() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (out_ == nullptr) return;
    for (; !launches_.empty() && real_.cuEventQuery(launches_.front().end) == kSuccess;
         launches_.pop_front()) {
      const Launch& launch = launches_.front();
      float milliseconds = -1;
      if (elapsed_ != nullptr) elapsed_(&milliseconds, launch.begin, launch.end);
      std::fprintf(out_, "%s %.0f\n", launch.kernel.c_str(), static_cast<double>(milliseconds) * 1e6);
      spare_.insert(spare_.end(), {launch.begin, launch.end});
    }
    std::fflush(out_);
  }

  Symbols real_;
  Result (*elapsed_)(float* milliseconds, EventHandle begin, EventHandle end) = nullptr;
  std::mutex mutex_;
  std::map<FunctionHandle, std::string> names_;
  std::deque<Launch> launches_;
  std::vector<EventHandle> spare_;
  FILE* out_ = nullptr;
};

Result timed_get_function(FunctionHandle* function, ModuleHandle module, const char* name) {
  return Clock::get().get_function(function, module, name);
}

Result timed_launch(FunctionHandle function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                    unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                    StreamHandle stream, void** arguments, void** extra) {
  return Clock::get().launch(function, stream, [&](auto* real) {
    return real(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, arguments,
                extra);
  });
}

Result timed_query(EventHandle event) { return Clock::get().query(event); }

// What a caller gets who asks for a name: ours, the driver's, or nothing where it has none.
using Any = void (*)();
Any chosen(const char* name) {
  if (std::strcmp(name, "cuModuleGetFunction") == 0) return reinterpret_cast<Any>(&timed_get_function);
  if (std::strcmp(name, "cuLaunchKernel") == 0) return reinterpret_cast<Any>(&timed_launch);
  if (std::strcmp(name, "cuEventQuery") == 0) return reinterpret_cast<Any>(&timed_query);
  return reinterpret_cast<Any>(find(name));
}

}  // namespace
}  // namespace nearfield::cuda

// Resolved when somebody looks a name up, by which time the environment is there.
#define NF_FORWARDED(name)                                                                         \
  extern "C" nearfield::cuda::Any kernel_clock_##name() { return nearfield::cuda::chosen(#name); } \
  extern "C" __attribute__((visibility("default"), ifunc("kernel_clock_" #name))) void name();
#define X(name, arguments) NF_FORWARDED(name)
NF_CUDA_SYMBOLS(X)
#undef X
NF_FORWARDED(cuMemPoolTrimTo)
NF_FORWARDED(cuTensorMapEncodeTiled)
// Of the emulated driver.
NF_FORWARDED(nearfield_simt_version)
NF_FORWARDED(nearfield_simt_silence_ms)
