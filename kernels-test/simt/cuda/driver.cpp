// SPDX-License-Identifier: Apache-2.0
// libcuda.so.1 for tests: the driver API that native/cuda uses, on the emulator. Here it, its GPU and the
// context; driver_memory.cpp, driver_module.cpp and driver_stream.cpp have the rest. control.hpp lists the
// faults that it can be asked for. It is stricter than the driver: a call without a current context, a copy
// into host memory that is not page-locked, an argument that is no device memory are errors.
#include <cstdio>

#include "device.hpp"
#include "entry.hpp"

namespace simt = nearfield::simt;
using namespace nearfield::cuda;
using simt::cuda::Device;

namespace nearfield::cuda {
struct ContextTag {};
}  // namespace nearfield::cuda

namespace {

ContextTag the_context;

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

}  // extern "C"
