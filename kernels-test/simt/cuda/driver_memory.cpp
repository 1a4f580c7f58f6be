// SPDX-License-Identifier: Apache-2.0
// The emulated driver's memory: pools, allocations, copies.
#include <cstring>
#include <vector>

#include "cuda_async.hpp"
#include "entry.hpp"
#include "kernels/tensor_map.h"
#include "memory.hpp"
#include "stream.hpp"

namespace simt = nearfield::simt;
using namespace nearfield::cuda;
using simt::cuda::broken;
using simt::cuda::Device;
using simt::cuda::range;

namespace nearfield::cuda {
struct PoolTag {};
}  // namespace nearfield::cuda

namespace {

void* pointer(DevicePointer p) { return reinterpret_cast<void*>(p); }

Result copy(StreamHandle stream, StreamTag::Step step) {
  if (const Result result = Device::get().usable(); result != kSuccess) return result;
  if (stream == nullptr) return simt::cuda::kInvalidHandle;
  if (simt::fault_strikes("copy")) return simt::cuda::kLaunchOutOfResources;
  stream->push(std::move(step));
  return kSuccess;
}

}  // namespace

extern "C" {

NF_EXPORT Result cuMemGetInfo_v2(size_t* free_bytes, size_t* total_bytes) {
  NF_USABLE();
  *total_bytes = Device::get().total_bytes();
  const size_t used = simt::allocated_bytes();
  *free_bytes = *total_bytes > used ? *total_bytes - used : 0;
  return kSuccess;
}

NF_EXPORT Result cuMemPoolCreate(PoolHandle* pool, const PoolProperties* properties) {
  NF_USABLE();
  if (properties->allocation_type != 1 || properties->location_type != 1 || properties->location_id != 0)
    return simt::cuda::kInvalidValue;
  *pool = new PoolTag;
  return kSuccess;
}

NF_EXPORT Result cuMemPoolDestroy(PoolHandle pool) {
  delete pool;
  return kSuccess;
}

NF_EXPORT Result cuMemPoolSetAttribute(PoolHandle, int, void*) { return kSuccess; }

NF_EXPORT Result cuMemAlloc_v2(DevicePointer* address, size_t bytes) {
  NF_USABLE();
  void* const memory = Device::get().allocate(bytes);
  if (memory == nullptr) return kOutOfMemory;
  *address = reinterpret_cast<DevicePointer>(memory);
  return kSuccess;
}

NF_EXPORT Result cuMemAllocFromPoolAsync(DevicePointer* address, size_t bytes, PoolHandle pool,
                                         StreamHandle stream) {
  if (pool == nullptr || stream == nullptr) return simt::cuda::kInvalidHandle;
  return cuMemAlloc_v2(address, bytes);
}

// At once, whatever is still enqueued.
NF_EXPORT Result cuMemFree_v2(DevicePointer address) {
  NF_USABLE();
  if (!simt::allocated(pointer(address), 1)) return simt::cuda::kInvalidValue;
  simt::release(pointer(address));
  return kSuccess;
}

NF_EXPORT Result cuMemFreeAsync(DevicePointer address, StreamHandle stream) {
  if (stream == nullptr) return simt::cuda::kInvalidHandle;
  const Result usable = Device::get().usable();
  if (usable == simt::cuda::kInvalidContext) return usable;
  // Also of a context that was lost: nothing runs there any more.
  if (usable != kSuccess) {
    simt::release(pointer(address));
    return usable;
  }
  stream->push([address] {
    if (!simt::allocated(pointer(address), 1))
      return broken("memory is freed twice: " + range(pointer(address), 0));
    simt::release(pointer(address));
    return kSuccess;
  });
  return kSuccess;
}

NF_EXPORT Result cuMemHostAlloc(void** address, size_t bytes, unsigned) {
  NF_USABLE();
  if (simt::fault_strikes("allocation")) return kOutOfMemory;
  *address = Device::get().lock_host(bytes);
  return *address != nullptr ? kSuccess : kOutOfMemory;
}

NF_EXPORT Result cuMemFreeHost(void* address) {
  return Device::get().unlock_host(address) ? kSuccess : simt::cuda::kInvalidValue;
}

// From memory that is not page-locked the data is taken before the call returns, else when the copy runs.
NF_EXPORT Result cuMemcpyHtoDAsync_v2(DevicePointer to, const void* from, size_t bytes, StreamHandle stream) {
  const bool locked = Device::get().is_locked(from, bytes);
  const auto* const data = static_cast<const unsigned char*>(from);
  std::vector<unsigned char> taken;
  if (!locked) taken.assign(data, data + bytes);
  return copy(stream, [=, taken = std::move(taken)] {
    if (!simt::allocated(pointer(to), bytes))
      return broken("a copy to no device memory: " + range(pointer(to), bytes));
    if (locked && !Device::get().is_locked(data, bytes))
      return broken("a copy from freed memory: " + range(data, bytes));
    std::memcpy(pointer(to), locked ? data : taken.data(), bytes);
    simt::mark_written(pointer(to), bytes);
    return kSuccess;
  });
}

NF_EXPORT Result cuMemcpyDtoHAsync_v2(void* to, DevicePointer from, size_t bytes, StreamHandle stream) {
  return copy(stream, [=] {
    if (!simt::allocated(pointer(from), bytes))
      return broken("a copy from no device memory: " + range(pointer(from), bytes));
    if (!Device::get().is_locked(to, bytes))
      return broken("a copy to host memory that is not page-locked: " + range(to, bytes));
    std::memcpy(to, pointer(from), bytes);
    return kSuccess;
  });
}

NF_EXPORT Result cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from, size_t bytes,
                                      StreamHandle stream) {
  return copy(stream, [=] {
    if (!simt::allocated(pointer(to), bytes) || !simt::allocated(pointer(from), bytes))
      return broken("a copy outside of device memory: from " + range(pointer(from), bytes) + " to " +
                    range(pointer(to), bytes));
    std::memcpy(pointer(to), pointer(from), bytes);
    simt::copy_marks(pointer(to), pointer(from), bytes);
    return kSuccess;
  });
}

// Maps of three dimensions of floats, neither interleaved nor swizzled, with zeros outside. Needs no context.
NF_EXPORT Result cuTensorMapEncodeTiled(TensorMap* map, int type, uint32_t rank, void* address,
                                        const uint64_t* sizes, const uint64_t* strides, const uint32_t* box,
                                        const uint32_t* element_strides, int interleave, int swizzle,
                                        int promotion, int fill) {
  if (simt::fault("no-maps", 0) != 0 || reinterpret_cast<uintptr_t>(map) % 64 != 0 || type != 7 ||
      rank != 3 || interleave != 0 || swizzle != 0 || promotion < 0 || promotion > 3 || fill != 0)
    return simt::cuda::kInvalidValue;
  simt::TensorMap made{simt::kTensorMapMark, static_cast<char*>(address), {}, {}, {}, sizeof(float)};
  for (uint32_t i = 0; i < rank; ++i) {
    if (element_strides[i] != 1) return simt::cuda::kInvalidValue;
    made.sizes[i] = sizes[i];
    made.box[i] = box[i];
    if (i + 1 < rank) made.strides[i] = strides[i];
  }
  if (!simt::problem_of(made).empty()) return simt::cuda::kInvalidValue;
  *map = {};
  std::memcpy(map, &made, sizeof(made));
  return kSuccess;
}

}  // extern "C"
