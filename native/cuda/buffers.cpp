// SPDX-License-Identifier: Apache-2.0
#include "buffers.hpp"

#include <cstring>
#include <memory>

namespace nearfield::cuda {
namespace {

unsigned long long ull(uint64_t value) { return value; }

}  // namespace

Status CudaQueue::allocate(uint64_t bytes, gpu::Use use, const char* what, gpu::Buffer* out) {
  NF_TRY(health());
  const Symbols& s = symbols();
  const Current current(s, context_);
  DevicePointer device = 0;
  void* host = nullptr;
  const auto attempt = [&] {
    if (use == gpu::Use::kReadback) return s.cuMemHostAlloc(&host, bytes, 0);
    if (pool_ != nullptr) return s.cuMemAllocFromPoolAsync(&device, bytes, pool_, stream_);
    return s.cuMemAlloc_v2(&device, bytes);
  };
  Result result = attempt();
  // What the pool keeps may be what is missing.
  if (result == kOutOfMemory && trim(0)) result = attempt();
  if (!lost_.empty()) return take_error(what);  // by the wait in trim(): the driver is asked nothing more
  if (result == kOutOfMemory) {
    size_t free_bytes = 0, total = 0;
    s.cuMemGetInfo_v2(&free_bytes, &total);
    const Status full =
        error(NF_RESOURCE_EXHAUSTED, "%s: no room for %llu bytes on %s, %llu of %llu are free: %s", what,
              ull(bytes), use == gpu::Use::kReadback ? "the host" : gpu_.name.c_str(), ull(free_bytes),
              ull(total), driver_->describe(result).c_str());
    return Status(full.code(), full.message(), result);
  }
  if (result != kSuccess) {
    fail(result, "memory allocation");
    return take_error(what);
  }
  unmarked_ = true;
  *out = gpu::Buffer(std::make_unique<CudaMemory>(*this, device, host, bytes), bytes);
  return {};
}

bool CudaQueue::trim(uint64_t kept) {
  if (pool_ == nullptr || symbols().cuMemPoolTrimTo == nullptr) return false;
  unmarked_ = true;  // what was freed counts when the stream has come to it
  drain();
  if (hung_) return false;
  freed_ = 0;
  return symbols().cuMemPoolTrimTo(pool_, kept) == kSuccess;
}

void CudaQueue::release(DevicePointer device, void* host, uint64_t bytes) {
  if (hung_) return;
  const Symbols& s = symbols();
  const Current current(s, context_);
  if (host != nullptr) {
    drain();
    if (!hung_) s.cuMemFreeHost(host);
  } else if (pool_ != nullptr) {
    s.cuMemFreeAsync(device, stream_);
    // The driver trims a pool at synchronising calls, and this queue polls.
    freed_ += bytes;
    if (freed_ > kKeptBytes) trim(kKeptBytes);
  } else {
    drain();
    if (!hung_) s.cuMemFree_v2(device);
  }
}

void CudaQueue::write(const gpu::Buffer& to, uint64_t offset, const void* data, uint64_t bytes) {
  if (bytes == 0 || !lost_.empty()) return;
  const Current current(symbols(), context_);
  unmarked_ = true;
  fail(staging_.write(symbols(), stream_, memory_of(to).device() + offset, data, bytes,
                      [this](EventHandle event) { return wait(event); }),
       "cuMemcpyHtoDAsync");
}

Status CudaQueue::read(const gpu::Buffer& from, uint64_t bytes, void* to, const char* what) {
  drain();
  NF_TRY(take_error(what));
  std::memcpy(to, memory_of(from).host(), bytes);
  return {};
}

}  // namespace nearfield::cuda
