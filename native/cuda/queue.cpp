// SPDX-License-Identifier: Apache-2.0
#include "queue.hpp"

#include <cstdio>
#include <cstring>
#include <utility>

#include "buffers.hpp"
#include "kernels/shapes.h"
#include "shapes.hpp"
#include "tensor_map.hpp"

namespace nearfield::cuda {
namespace {

// Until the first dispatch has been measured. A unit is four dimensions of one row for one query, 16 bytes
// when they are read once: 20 to 270 of them come from memory in a nanosecond. The emulator does some
// thousandths.
constexpr double kFirstUnitsPerNs = 50;
constexpr double kFirstUnitsPerNsEmulated = 0.005;
// Large slabs mean few launches; a store grows by at most this much at once.
constexpr uint64_t kSlabBytes = 1ull << 30;
constexpr uint32_t kEmulatedWorkgroups = 4;
// 0.3 MB of rows: a few microseconds of one block, the price of its list in the merge many times over.
constexpr double kLeastPartUnits = 2e4;
// kernels/merge.cuh follows any number of lists; so many are more than the blocks of two waves on an H200, in
// four rounds of its block.
constexpr uint32_t kMostLists = 4096;

// Rows that a GPU reads in some 30 microseconds: the launches of a search by codes cost as much. Not
// measured.
constexpr uint64_t kLeastCodedBytes = 128ull << 20;
// At k = 100 one block rescores 1,000 rows and more of a query in three windows, 128 at a time: 100
// microseconds, most of what codes save at 1M x 128. Not measured.
constexpr int32_t kMostCodedK = 32;

}  // namespace

void fill_info(const Driver& driver, const Gpu& gpu, nf_device_info* out) {
  std::snprintf(out->name, sizeof(out->name), "%s", gpu.name.c_str());
  std::snprintf(out->driver, sizeof(out->driver), "%s", driver.text().c_str());
  out->memory_bytes = out->max_binding_bytes = gpu.memory_bytes;
  out->free_bytes = 0;  // known to a context only
  out->dispatch_target_ns = gpu::Queue::kDispatchTargetNs;
  out->simd_width = 32;
  out->compute_units = gpu.multiprocessors;
  out->unified_memory = gpu.integrated;
  out->software = 0;
  out->emulated = driver.emulated();
}

CudaQueue::CudaQueue(std::shared_ptr<Driver> driver, const Gpu& gpu)
    : driver_(std::move(driver)),
      gpu_(gpu),
      pace_(driver_->emulated() ? kFirstUnitsPerNsEmulated : kFirstUnitsPerNs) {
  limits_.binding_bytes = gpu_.memory_bytes;
  limits_.slab_bytes = std::min(kSlabBytes, gpu_.memory_bytes);
  limits_.grid = INT32_MAX;
  limits_.workgroups = driver_->emulated() ? kEmulatedWorkgroups : radix_workgroups(gpu_);
  if (!driver_->emulated()) limits_.least_part_units = kLeastPartUnits;
  limits_.lanes = kLaneThreads;
  limits_.tile_rows = kTileRows;
  limits_.most_lists = kMostLists;
  limits_.most_list_k = kMostListK;
  limits_.sides_of_products = true;
  limits_.codes = limits_.coded_products = true;
  limits_.tf32_products = gpu_.capability >= kTf32Capability;
  limits_.least_coded_bytes = kLeastCodedBytes;
  limits_.most_coded_k = kMostCodedK;
}

Status CudaQueue::create(std::shared_ptr<Driver> driver, const Gpu& gpu, std::unique_ptr<CudaQueue>* out) {
  auto queue = std::make_unique<CudaQueue>(std::move(driver), gpu);
  NF_TRY(queue->start());
  *out = std::move(queue);
  return {};
}

Status CudaQueue::start() {
  const Symbols& s = symbols();
  const auto check = [&](Result result, const char* call) {
    return driver_->status(result, "context_create", call);
  };
  NF_TRY(check(s.cuDevicePrimaryCtxRetain(&context_, gpu_.device), "cuDevicePrimaryCtxRetain"));
  const Current current(s, context_);
  NF_TRY(module_.load(*driver_, gpu_));
  NF_TRY(check(s.cuStreamCreate(&stream_, kStreamNonBlocking), "cuStreamCreate"));
  if (gpu_.pools) {
    PoolProperties properties;
    properties.location_id = gpu_.device;
    NF_TRY(check(s.cuMemPoolCreate(&pool_, &properties), "cuMemPoolCreate"));
    uint64_t kept = kKeptBytes;
    NF_TRY(check(s.cuMemPoolSetAttribute(pool_, kPoolReleaseThreshold, &kept), "cuMemPoolSetAttribute"));
  }
  NF_TRY(check(staging_.create(s), "cuMemHostAlloc"));
  // A driver that refuses such a map has the other form left. Maps are made without a look at the memory.
  TensorMap map{};
  const auto memory = reinterpret_cast<DevicePointer>(staging_.memory());
  limits_.tf32_warpgroups =
      module_.has_warpgroups() && map_tile32(*driver_, memory, 2, 2 * kBoxChunks, kBoxGroups, &map).ok();
  return {};
}

CudaQueue::~CudaQueue() {
  if (context_ == nullptr || hung_) return;
  const Symbols& s = symbols();
  {
    const Current current(s, context_);
    discard();
    drain();
    if (hung_) return;
    for (EventHandle event : spare_) s.cuEventDestroy_v2(event);
    staging_.destroy(s);
    if (pool_ != nullptr) s.cuMemPoolDestroy(pool_);
    if (stream_ != nullptr) s.cuStreamDestroy_v2(stream_);
    module_.unload(*driver_);
  }
  s.cuDevicePrimaryCtxRelease_v2(gpu_.device);
}

void CudaQueue::info(nf_device_info* out) const {
  fill_info(*driver_, gpu_, out);
  const Current current(symbols(), context_);
  size_t free_bytes = 0, total = 0;
  if (symbols().cuMemGetInfo_v2(&free_bytes, &total) == kSuccess) out->free_bytes = free_bytes;
}

gpu::FlatShape CudaQueue::flat_shape(int64_t batch, int32_t k) const {
  gpu::FlatShape shape = cuda::flat_shape(gpu_, batch, k);
  if (driver_->emulated()) shape.workgroups = kEmulatedWorkgroups;
  return shape;
}

gpu::MatrixShape CudaQueue::matrix_shape(int32_t metric, int32_t, int64_t batch, int32_t k) const {
  return cuda::matrix_shape(metric, batch, k);
}

gpu::CodedProductShape CudaQueue::coded_product_shape(int32_t, int32_t, int64_t batch, int32_t k) const {
  return cuda::coded_product_shape(batch, k);
}

gpu::CodedProductShape CudaQueue::tf32_shape(int32_t k, bool by_warps) const {
  gpu::CodedProductShape shape = cuda::tf32_shape(gpu_, k, limits_.tf32_warpgroups && !by_warps);
  if (driver_->emulated()) shape.workgroups = kEmulatedWorkgroups;
  return shape;
}

Status CudaQueue::health() const {
  if (lost_.empty()) return {};
  return error(NF_DEVICE_LOST, "the device %s was lost: %s", gpu_.name.c_str(), lost_.c_str());
}

void CudaQueue::fail(Result result, const char* call) {
  if (result == kSuccess) return;
  if (error_ == kSuccess) {
    error_ = result;
    error_call_ = call;
  }
  if (lost_.empty() && Driver::is_sticky(result))
    lost_ = std::string(call) + ": " + driver_->describe(result);
}

Status CudaQueue::take_error(const char* what) {
  const Result result = std::exchange(error_, kSuccess);
  if (result != kSuccess && lost_.empty()) return driver_->status(result, what, error_call_);
  if (const Status lost = lost_in(what); !lost.ok()) return Status(lost.code(), lost.message(), result);
  return {};
}

Status CudaQueue::dispatch(const gpu::Dispatch& dispatch) {
  NF_TRY(health());
  const Current current(symbols(), context_);
  Command command;
  if (dispatch.params_bytes > sizeof(command.params) || dispatch.buffers.size() > kMostBuffers)
    return error(NF_INTERNAL, "%s: %zu bytes of parameters and %zu buffers, at most %zu and %zu are launched",
                 dispatch.kernel.name, dispatch.params_bytes, dispatch.buffers.size(), sizeof(command.params),
                 kMostBuffers);
  NF_TRY(module_.get(*driver_, gpu_, dispatch.kernel, dispatch.variant, &command.function));
  measurable_ = measurable_ && std::exchange(command.function->used, true);
  command.grid = dispatch.grid;
  std::memcpy(command.params, dispatch.params, dispatch.params_bytes);
  for (const gpu::Buffer* buffer : dispatch.buffers)
    command.addresses[command.buffers++] = memory_of(*buffer).device();
  if (std::strcmp(dispatch.kernel.name, gpu::kMatrixTf32Wgmma.name) == 0) {
    const auto& p = *static_cast<const CodedProductParams*>(dispatch.params);
    command.has_maps = true;
    NF_TRY(
        map_tile32(*driver_, command.addresses[0], p.groups, p.level_chunks, kBoxGroups, &command.maps[0]));
    NF_TRY(map_tile32(*driver_, command.addresses[4], p.query_groups, p.level_chunks, kQueryBoxGroups,
                      &command.maps[1]));
  }
  gathered_.push_back(command);
  return {};
}

void CudaQueue::copy(const gpu::Buffer& from, uint64_t from_offset, const gpu::Buffer& to, uint64_t to_offset,
                     uint64_t bytes) {
  Command command;
  command.addresses[0] = memory_of(from).device() + from_offset;
  command.bytes = bytes;
  if (void* host = memory_of(to).host(); host != nullptr)
    command.host = static_cast<unsigned char*>(host) + to_offset;
  else
    command.addresses[1] = memory_of(to).device() + to_offset;
  gathered_.push_back(command);
}

}  // namespace nearfield::cuda
