// SPDX-License-Identifier: Apache-2.0
// The CUDA driver API, opened at run time: libcuda.so.1 or nvcuda.dll. Declared here as far as it is used, so
// that no header of the toolkit is needed; names, numbers and layouts are NVIDIA's stable driver ABI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gpu/patience.hpp"
#include "images.hpp"
#include "status.hpp"

namespace nearfield::cuda {

using Result = int;  // CUresult
using DevicePointer = unsigned long long;

inline constexpr Result kSuccess = 0, kOutOfMemory = 2, kNoDevice = 100, kNoBinary = 209, kNotReady = 600;

enum Attribute : int {  // CUdevice_attribute
  kIntegrated = 18,
  kMultiprocessors = 16,
  kCapabilityMajor = 75,
  kCapabilityMinor = 76,
  kSharedOfMultiprocessor = 81,
  kSharedOfBlock = 97,    // of one that asks for it (kMostGivenBytes)
  kSharedReserved = 111,  // of each block, by the system
  kMemoryPools = 115,
};

enum FunctionAttribute : int {  // CUfunction_attribute
  kDeclaredSharedBytes = 1,
  kMostGivenBytes = 8,  // shared memory that a launch may give
  kCarveout = 9,        // per cent of L1 and shared memory that shall be shared memory; a hint
};

struct ContextTag;
struct ModuleTag;
struct FunctionTag;
struct StreamTag;
struct EventTag;
struct PoolTag;
using ContextHandle = ContextTag*;
using ModuleHandle = ModuleTag*;
using FunctionHandle = FunctionTag*;
using StreamHandle = StreamTag*;
using EventHandle = EventTag*;
using PoolHandle = PoolTag*;

// CUmemPoolProps: device memory of one device, shared with no other process.
struct PoolProperties {
  int allocation_type = 1;  // pinned
  int handle_types = 0;
  int location_type = 1;  // device
  int location_id = 0;
  void* security_attributes = nullptr;
  unsigned char reserved[64] = {};
};
static_assert(sizeof(PoolProperties) == 88);

inline constexpr int kPoolReleaseThreshold = 4;  // CUmemPool_attribute
inline constexpr unsigned kStreamNonBlocking = 1, kEventNoTiming = 2;

// Every function this backend calls, by its exported name.
#define NF_CUDA_SYMBOLS(X)                                                                                  \
  X(cuInit, (unsigned flags))                                                                               \
  X(cuDriverGetVersion, (int* version))                                                                     \
  X(cuGetErrorName, (Result result, const char** name))                                                     \
  X(cuGetErrorString, (Result result, const char** text))                                                   \
  X(cuDeviceGetCount, (int* count))                                                                         \
  X(cuDeviceGet, (int* device, int ordinal))                                                                \
  X(cuDeviceGetName, (char* name, int bytes, int device))                                                   \
  X(cuDeviceGetAttribute, (int* value, int attribute, int device))                                          \
  X(cuDeviceTotalMem_v2, (size_t * bytes, int device))                                                      \
  X(cuDevicePrimaryCtxRetain, (ContextHandle * context, int device))                                        \
  X(cuDevicePrimaryCtxRelease_v2, (int device))                                                             \
  X(cuCtxPushCurrent_v2, (ContextHandle context))                                                           \
  X(cuCtxPopCurrent_v2, (ContextHandle * context))                                                          \
  X(cuMemGetInfo_v2, (size_t * free_bytes, size_t * total_bytes))                                           \
  X(cuModuleLoadData, (ModuleHandle * module, const void* image))                                           \
  X(cuModuleUnload, (ModuleHandle module))                                                                  \
  X(cuModuleGetFunction, (FunctionHandle * function, ModuleHandle module, const char* name))                \
  X(cuFuncGetAttribute, (int* value, int attribute, FunctionHandle function))                               \
  X(cuFuncSetAttribute, (FunctionHandle function, int attribute, int value))                                \
  X(cuOccupancyMaxActiveBlocksPerMultiprocessor,                                                            \
    (int* blocks, FunctionHandle function, int threads, size_t given_bytes))                                \
  X(cuLaunchKernel, (FunctionHandle function, unsigned grid_x, unsigned grid_y, unsigned grid_z,            \
                     unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,           \
                     StreamHandle stream, void** arguments, void** extra))                                  \
  X(cuStreamCreate, (StreamHandle * stream, unsigned flags))                                                \
  X(cuStreamDestroy_v2, (StreamHandle stream))                                                              \
  X(cuEventCreate, (EventHandle * event, unsigned flags))                                                   \
  X(cuEventDestroy_v2, (EventHandle event))                                                                 \
  X(cuEventRecord, (EventHandle event, StreamHandle stream))                                                \
  X(cuEventQuery, (EventHandle event))                                                                      \
  X(cuMemPoolCreate, (PoolHandle * pool, const PoolProperties* properties))                                 \
  X(cuMemPoolDestroy, (PoolHandle pool))                                                                    \
  X(cuMemPoolSetAttribute, (PoolHandle pool, int attribute, void* value))                                   \
  X(cuMemAllocFromPoolAsync, (DevicePointer * address, size_t bytes, PoolHandle pool, StreamHandle stream)) \
  X(cuMemFreeAsync, (DevicePointer address, StreamHandle stream))                                           \
  X(cuMemAlloc_v2, (DevicePointer * address, size_t bytes))                                                 \
  X(cuMemFree_v2, (DevicePointer address))                                                                  \
  X(cuMemHostAlloc, (void** address, size_t bytes, unsigned flags))                                         \
  X(cuMemFreeHost, (void* address))                                                                         \
  X(cuMemcpyHtoDAsync_v2, (DevicePointer to, const void* from, size_t bytes, StreamHandle stream))          \
  X(cuMemcpyDtoHAsync_v2, (void* to, DevicePointer from, size_t bytes, StreamHandle stream))                \
  X(cuMemcpyDtoDAsync_v2, (DevicePointer to, DevicePointer from, size_t bytes, StreamHandle stream))

#if defined(_WIN32)
#define NF_CUDA_CALL __stdcall
#else
#define NF_CUDA_CALL
#endif

struct TensorMap;  // kernels/tensor_map.h

struct Symbols {
  // Came with 11.2 as well; a driver without it keeps what a pool has freed.
  Result(NF_CUDA_CALL* cuMemPoolTrimTo)(PoolHandle pool, size_t kept) = nullptr;
  // Came with 12.0, for GPUs of 9.0 and later.
  Result(NF_CUDA_CALL* cuTensorMapEncodeTiled)(TensorMap* map, int type, uint32_t rank, void* address,
                                               const uint64_t* sizes, const uint64_t* strides,
                                               const uint32_t* box, const uint32_t* element_strides,
                                               int interleave, int swizzle, int promotion,
                                               int fill) = nullptr;
#define X(name, arguments) Result(NF_CUDA_CALL* name) arguments = nullptr;
  NF_CUDA_SYMBOLS(X)
#undef X
};

struct Gpu {
  int device = 0;  // CUdevice
  std::string name;
  uint64_t memory_bytes = 0;
  int multiprocessors = 0, capability = 0;  // capability: 90 for 9.0
  // Bytes of shared memory; until the driver says more, what every GPU has.
  uint32_t shared_of_block = 48 << 10, shared_of_multiprocessor = 64 << 10, shared_reserved = 0;
  bool integrated = false, pools = false;
  std::vector<Image> images;                             // that it runs, best first: at least one
  std::chrono::nanoseconds silence = gpu::kMostSilence;  // after which it counts as hung
};

// The driver, opened once per Backend.
class Driver {
 public:
  // Never fails: without a driver, with one that is too old, or without a GPU that the kernels run on, gpus()
  // is empty and why_none() says why. A GPU for which there is no code is no device: whoever chooses one by
  // itself goes on to the next backend. `file`: NULL for the system's driver.
  static std::shared_ptr<Driver> open(const char* file = nullptr);

  const Symbols& symbols() const { return symbols_; }
  const std::vector<Gpu>& gpus() const { return gpus_; }
  const std::string& why_none() const { return why_none_; }
  // NF_UNAVAILABLE: the driver is missing or fails; NF_FAILED_PRECONDITION: too old; NF_OK: it works and
  // finds no GPU.
  nf_status why_none_status() const { return why_none_status_; }
  int version() const { return version_; }     // 13000 for CUDA 13.0
  bool emulated() const { return emulated_; }  // the tests' stand-in, which runs kernels on the host
  std::string text() const;                    // "CUDA 13.0"

  // kSuccess: OK. Otherwise "<what>: <name of the call>: CUDA_ERROR_... (its text)".
  Status status(Result result, const char* what, const char* call) const;
  // "CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access was encountered)"
  std::string describe(Result result) const;
  // Whether every later call in the context will fail too.
  static bool is_sticky(Result result);

 private:
  bool load(const char* file);
  void enumerate();

  Symbols symbols_;
  std::vector<Gpu> gpus_;
  std::string why_none_;
  nf_status why_none_status_ = NF_UNAVAILABLE;
  int version_ = 0;
  bool emulated_ = false;
  std::chrono::nanoseconds silence_ = gpu::kMostSilence;
};

// Makes a context current while it lives. The thread's own current context comes back: other code of the
// process may use CUDA too.
class Current {
 public:
  Current(const Symbols& symbols, ContextHandle context) : symbols_(symbols) {
    pushed_ = symbols_.cuCtxPushCurrent_v2(context) == kSuccess;
  }
  ~Current() {
    ContextHandle popped = nullptr;
    if (pushed_) symbols_.cuCtxPopCurrent_v2(&popped);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  const Symbols& symbols_;
  bool pushed_ = false;
};

}  // namespace nearfield::cuda
