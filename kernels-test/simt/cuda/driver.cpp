// SPDX-License-Identifier: Apache-2.0
// libcuda.so.1 for tests: the driver API that native/cuda uses, on the emulator; driver_memory.cpp has its
// memory. control.hpp lists the faults that it can be asked for. It is stricter than the driver: a call
// without a current context, a copy into host memory that is not page-locked, an argument that is no device
// memory are errors.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "device.hpp"
#include "entry.hpp"
#include "image.hpp"
#include "kernels.hpp"
#include "simt.hpp"
#include "stream.hpp"

namespace simt = nearfield::simt;
using namespace nearfield::cuda;
using simt::cuda::broken;
using simt::cuda::Device;
using simt::cuda::range;

namespace nearfield::cuda {
struct ContextTag {};
struct ModuleTag {};
}  // namespace nearfield::cuda

namespace {

ContextTag the_context;

FunctionHandle handle_of(const simt::cuda::Kernel* kernel) {
  return reinterpret_cast<FunctionHandle>(const_cast<simt::cuda::Kernel*>(kernel));
}

const simt::cuda::Kernel* kernel_of(FunctionHandle function) {
  return reinterpret_cast<const simt::cuda::Kernel*>(function);
}

// The arguments of a launch, copied when it is enqueued, as the driver does.
struct Launch {
  const simt::cuda::Kernel* kernel;
  simt::Dim3 grid, block;
  size_t shared_bytes;
  std::vector<std::vector<unsigned char>> arguments;

  Result operator()() {
    if (simt::fault_strikes("hang")) return kNotReady;
    if (simt::fault_strikes("lost"))
      return broken(std::string(kernel->name) + ": a test asked for the loss of the device");
    std::vector<void*> addresses, buffers;
    for (size_t i = 0; i < arguments.size(); ++i) {
      addresses.push_back(arguments[i].data());
      void* p = nullptr;
      if (!kernel->pointers[i]) continue;
      std::memcpy(&p, arguments[i].data(), sizeof(p));
      if (!simt::allocated(p, 1))
        return broken(std::string(kernel->name) + ": argument " + std::to_string(i) +
                      " is no device memory: " + range(p, 1));
      buffers.push_back(p);
    }
    try {
      simt::Options options = simt::options_of(kernel->name, buffers);
      options.dynamic_shared = shared_bytes;
      options.shared_limit = Device::get().shared_limit(kernel);
      simt::launch(
          grid, block, [&] { kernel->run(addresses.data()); }, options);
    } catch (const simt::Error& e) {
      return broken(e.what());
    }
    return kSuccess;
  }
};

}  // namespace

extern "C" {

// Tells native/cuda that kernels run on the host.
NF_EXPORT int nearfield_simt_version() { return 1; }

// How long native/cuda waits for a sign of life; 0: as for a GPU.
NF_EXPORT int nearfield_simt_silence_ms() { return static_cast<int>(simt::fault("silence", 0)); }

NF_EXPORT Result cuInit(unsigned) { return simt::fault("no-device", 0) != 0 ? kNoDevice : kSuccess; }

NF_EXPORT Result cuDriverGetVersion(int* version) {
  *version = static_cast<int>(simt::fault("driver", 13000));
  return kSuccess;
}

NF_EXPORT Result cuGetErrorName(Result result, const char** name) {
  switch (result) {
    case kSuccess:
      *name = "CUDA_SUCCESS";
      return kSuccess;
    case kOutOfMemory:
      *name = "CUDA_ERROR_OUT_OF_MEMORY";
      return kSuccess;
    case kNoDevice:
      *name = "CUDA_ERROR_NO_DEVICE";
      return kSuccess;
    case kNoBinary:
      *name = "CUDA_ERROR_NO_BINARY_FOR_GPU";
      return kSuccess;
    case simt::cuda::kInvalidContext:
      *name = "CUDA_ERROR_INVALID_CONTEXT";
      return kSuccess;
    case simt::cuda::kLaunchOutOfResources:
      *name = "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES";
      return kSuccess;
    case simt::cuda::kLaunchFailed:
      *name = "CUDA_ERROR_LAUNCH_FAILED";
      return kSuccess;
    default:
      *name = nullptr;
      return simt::cuda::kInvalidValue;
  }
}

NF_EXPORT Result cuGetErrorString(Result result, const char** text) {
  *text = Device::get().why_lost(result);
  if (*text == nullptr) *text = "emulated";
  return kSuccess;
}

NF_EXPORT Result cuDeviceGetCount(int* count) {
  *count = 1;
  return kSuccess;
}

NF_EXPORT Result cuDeviceGet(int* device, int ordinal) {
  *device = 0;
  return ordinal == 0 ? kSuccess : simt::cuda::kInvalidDevice;
}

NF_EXPORT Result cuDeviceGetName(char* name, int bytes, int) {
  std::snprintf(name, static_cast<size_t>(bytes), "emulated NVIDIA GPU");
  return kSuccess;
}

NF_EXPORT Result cuDeviceGetAttribute(int* value, int attribute, int) {
  const auto capability = static_cast<int>(simt::fault("capability", 90));
  switch (attribute) {
    case kMultiprocessors:
      *value = 2;
      return kSuccess;
    case kCapabilityMajor:
      *value = capability / 10;
      return kSuccess;
    case kCapabilityMinor:
      *value = capability % 10;
      return kSuccess;
    case kIntegrated:
      *value = 0;
      return kSuccess;
    case kMemoryPools:
      *value = simt::fault("pools", 1) != 0;
      return kSuccess;
    case kSharedOfMultiprocessor:
      *value = static_cast<int>(simt::cuda::shared_of(capability).of_multiprocessor);
      return kSuccess;
    case kSharedOfBlock:
      *value = static_cast<int>(simt::cuda::shared_of(capability).of_block);
      return kSuccess;
    case kSharedReserved:
      *value = static_cast<int>(simt::cuda::shared_of(capability).reserved);
      return kSuccess;
    default:
      return simt::cuda::kInvalidValue;
  }
}

NF_EXPORT Result cuDeviceTotalMem_v2(size_t* bytes, int) {
  *bytes = Device::get().total_bytes();
  return kSuccess;
}

NF_EXPORT Result cuDevicePrimaryCtxRetain(ContextHandle* context, int) {
  Device::get().retain();
  *context = &the_context;
  return kSuccess;
}

NF_EXPORT Result cuDevicePrimaryCtxRelease_v2(int) {
  return Device::get().release() ? kSuccess : simt::cuda::kInvalidContext;
}

NF_EXPORT Result cuCtxPushCurrent_v2(ContextHandle context) {
  if (context != &the_context) return simt::cuda::kInvalidContext;
  simt::cuda::push_context();
  return kSuccess;
}

NF_EXPORT Result cuCtxPopCurrent_v2(ContextHandle* context) {
  if (!simt::cuda::pop_context()) return simt::cuda::kInvalidContext;
  if (context != nullptr) *context = &the_context;
  return kSuccess;
}

NF_EXPORT Result cuMemGetInfo_v2(size_t* free_bytes, size_t* total_bytes) {
  NF_USABLE();
  *total_bytes = Device::get().total_bytes();
  const size_t used = simt::allocated_bytes();
  *free_bytes = *total_bytes > used ? *total_bytes - used : 0;
  return kSuccess;
}

NF_EXPORT Result cuModuleLoadData(ModuleHandle* module, const void* image) {
  NF_USABLE();
  if (simt::fault("no-code", 0) != 0) return kNoBinary;
  const Result answer = simt::cuda::takes(image, static_cast<int>(simt::fault("capability", 90)),
                                          static_cast<int>(simt::fault("driver", 13000)));
  if (answer != kSuccess) return answer;
  *module = new ModuleTag;
  return kSuccess;
}

NF_EXPORT Result cuModuleUnload(ModuleHandle module) {
  delete module;
  return kSuccess;
}

NF_EXPORT Result cuModuleGetFunction(FunctionHandle* function, ModuleHandle, const char* name) {
  NF_USABLE();
  const simt::cuda::Kernel* const kernel = simt::cuda::find_kernel(name);
  if (kernel == nullptr) return simt::cuda::kNotFound;
  *function = handle_of(kernel);
  return kSuccess;
}

NF_EXPORT Result cuFuncGetAttribute(int* value, int attribute, FunctionHandle) {
  NF_USABLE();
  *value = 0;  // what a kernel declares is known when it runs
  return attribute == kDeclaredSharedBytes ? kSuccess : simt::cuda::kInvalidValue;
}

NF_EXPORT Result cuFuncSetAttribute(FunctionHandle function, int attribute, int value) {
  NF_USABLE();
  if (function == nullptr) return simt::cuda::kInvalidHandle;
  const auto capability = static_cast<int>(simt::fault("capability", 90));
  if (attribute == kCarveout) return value >= 0 && value <= 100 ? kSuccess : simt::cuda::kInvalidValue;
  if (attribute != kMostGivenBytes || value < 0 ||
      static_cast<size_t>(value) > simt::cuda::shared_of(capability).of_block)
    return simt::cuda::kInvalidValue;
  Device::get().allow(kernel_of(function), static_cast<size_t>(value));
  return kSuccess;
}

NF_EXPORT Result cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, FunctionHandle function, int,
                                                             size_t given_bytes) {
  NF_USABLE();
  const auto shared = simt::cuda::shared_of(static_cast<int>(simt::fault("capability", 90)));
  *blocks = static_cast<int>(shared.of_multiprocessor / (given_bytes + shared.reserved + 1));
  return function != nullptr ? kSuccess : simt::cuda::kInvalidHandle;
}

NF_EXPORT Result cuLaunchKernel(FunctionHandle function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                                StreamHandle stream, void** arguments, void** extra) {
  NF_USABLE();
  const simt::Dim3 grid{grid_x, grid_y, grid_z}, block{block_x, block_y, block_z};
  if (function == nullptr || stream == nullptr) return simt::cuda::kInvalidHandle;
  if (grid.count() == 0 || block.count() == 0 || block.count() > 1024 || extra != nullptr ||
      grid_y > 65'535 || grid_z > 65'535)
    return simt::cuda::kInvalidValue;
  if (simt::fault_strikes("launch")) return simt::cuda::kLaunchOutOfResources;
  const auto* const kernel = kernel_of(function);
  if (shared_bytes > Device::get().allowed(kernel)) return simt::cuda::kInvalidValue;
  Launch launch{kernel, grid, block, shared_bytes, {}};
  for (size_t i = 0; i < kernel->sizes.size(); ++i) {
    const auto* const bytes = static_cast<const unsigned char*>(arguments[i]);
    launch.arguments.emplace_back(bytes, bytes + kernel->sizes[i]);
  }
  stream->push(std::move(launch));
  return kSuccess;
}

NF_EXPORT Result cuStreamCreate(StreamHandle* stream, unsigned) {
  NF_USABLE();
  *stream = new StreamTag;
  return kSuccess;
}

NF_EXPORT Result cuStreamDestroy_v2(StreamHandle stream) {
  const Result result = stream->run();
  delete stream;
  return result;
}

NF_EXPORT Result cuEventCreate(EventHandle* event, unsigned) {
  NF_USABLE();
  *event = new EventTag;
  return kSuccess;
}

NF_EXPORT Result cuEventDestroy_v2(EventHandle event) {
  if (event->stream != nullptr) event->stream->run();
  delete event;
  return kSuccess;
}

NF_EXPORT Result cuEventRecord(EventHandle event, StreamHandle stream) {
  NF_USABLE();
  event->reached = false;
  event->stream = stream;
  // One after the other, as on a device.
  stream->ready = std::max(stream->ready, Clock::now()) + std::chrono::milliseconds(simt::fault("slow", 0));
  event->ready = stream->ready;
  stream->push([event] {
    event->reached = true;
    event->stream = nullptr;
    return kSuccess;
  });
  return kSuccess;
}

NF_EXPORT Result cuEventQuery(EventHandle event) {
  NF_USABLE();
  if (event->stream != nullptr)
    if (const Result result = event->stream->run(); result != kSuccess) return result;
  return event->reached && Clock::now() >= event->ready ? kSuccess : kNotReady;
}

}  // extern "C"
