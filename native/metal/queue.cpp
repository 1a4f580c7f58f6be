// SPDX-License-Identifier: Apache-2.0
#include "queue.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "buffers.hpp"
#include "kernels/instances.h"

namespace nearfield::metal {
namespace {

// Constants of kernels/common.h, kernels/matrix.h and kernels/coded_product.h.
constexpr uint32_t kLanes = 128;
constexpr uint32_t kQueryTile = 64;
constexpr uint32_t kRowTile = 64;
constexpr uint32_t kSmallQueryTile = 32;  // of products of codes
constexpr int32_t kPieceDims = 1024;      // that they sum up in f32; more in small tiles of queries
// A lane of kernels/merge.h keeps a bit for each list that it follows.
constexpr uint32_t kMostLists = 32 * kLanes;
// Below it most of a query tile would be padding, and the direct form reads the rows four times at most.
constexpr int64_t kLeastMatrixBatch = 32;
// Lists of `flat` hold k + kLanes entries. 8 queries by 256 entries and one by 2048 take 16 KiB of the 32 KiB
// that a threadgroup may have, so that two threadgroups fit a core.
constexpr int32_t kMostListK = 1024;
// Until the first submission has been measured. A unit is four dimensions of one row for one query: what an
// M1 (68 GB/s) reads in a nanosecond, rounded up to a power of two.
constexpr double kFirstUnitsPerNs = 8;
constexpr double kFirstUnitsPerNsEmulated = 0.01;
// Growth is by slabs, so larger ones gain little, and small stores should not wait for a large one.
constexpr uint64_t kSlabBytes = 1ull << 30;
// Threadgroups that fill the device: 8 of 128 threads on each of up to 80 cores, rounded up.
constexpr uint32_t kWorkgroups = 1024;
constexpr uint32_t kWorkgroupsEmulated = 4;
// Rows that an M1 reads in a millisecond: some ten times what the dispatches of a search by codes cost. Not
// measured.
constexpr uint64_t kLeastCodedBytes = 64ull << 20;
constexpr size_t kMostBuffers = 16;

struct Instance {
  const char* name;
  int32_t metric;
  uint32_t query_block, list_capacity;
};
#define NEARFIELD_METAL_ROW(name, metric, query_block, list_capacity) \
  {#name, metric, query_block, list_capacity},
constexpr Instance kInstances[] = {NEARFIELD_METAL_INSTANCES(NEARFIELD_METAL_ROW)};
#undef NEARFIELD_METAL_ROW

uint32_t list_capacity(int32_t k) { return k <= 128 ? 256 : k <= 896 ? 1024 : 2048; }

}  // namespace

void fill_info(const Adapter& adapter, nf_device_info* out) {
  std::snprintf(out->name, sizeof(out->name), "%s", adapter.name.c_str());
  std::snprintf(out->driver, sizeof(out->driver), "%s", adapter.driver.c_str());
  out->memory_bytes = adapter.memory_bytes;
  out->free_bytes = 0;  // Metal does not tell
  out->max_binding_bytes = adapter.buffer_bytes;
  out->dispatch_target_ns = gpu::Queue::kDispatchTargetNs;
  out->simd_width = 32;
  out->compute_units = 0;  // likewise
  out->unified_memory = adapter.unified;
  out->software = 0;
  out->emulated = adapter.emulated;
}

MetalQueue::MetalQueue(std::unique_ptr<Device> device)
    : device_(std::move(device)),
      pace_(device_->adapter().emulated ? kFirstUnitsPerNsEmulated : kFirstUnitsPerNs) {
  const Adapter& adapter = device_->adapter();
  limits_.binding_bytes = adapter.buffer_bytes;
  limits_.slab_bytes = std::min(kSlabBytes, adapter.buffer_bytes);
  limits_.workgroups = adapter.emulated ? kWorkgroupsEmulated : kWorkgroups;
  limits_.lanes = kLanes;
  limits_.tile_rows = kLanes;
  limits_.most_lists = kMostLists;
  limits_.most_list_k = kMostListK;
  limits_.sides_of_products = true;
  limits_.codes = limits_.coded_products = true;
  limits_.least_coded_bytes = kLeastCodedBytes;
}

MetalQueue::~MetalQueue() {
  discard();
  drain();
}

gpu::FlatShape MetalQueue::flat_shape(int64_t batch, int32_t k) const {
  const uint32_t capacity = list_capacity(k);
  if (capacity > 256) return {1, capacity, limits_.workgroups};
  return {batch > 4 ? 8u : batch > 1 ? 4u : 1u, capacity, limits_.workgroups};
}

gpu::MatrixShape MetalQueue::matrix_shape(int32_t metric, int32_t, int64_t batch, int32_t k) const {
  const bool product = metric == NF_L2SQ || metric == NF_COSINE || metric == NF_DOT;
  if (!product || batch < kLeastMatrixBatch || k > kMostListK) return {};
  return {kQueryTile, kRowTile, list_capacity(k)};
}

gpu::CodedProductShape MetalQueue::coded_product_shape(int32_t, int32_t dim, int64_t batch, int32_t k) const {
  if (k > kMostListK) return {};
  const bool is_small = dim > kPieceDims || batch <= kSmallQueryTile;
  return {is_small ? kSmallQueryTile : kQueryTile, kRowTile, 1, list_capacity(k)};
}

void MetalQueue::note(Fault fault, const std::string& reason) {
  // A device that hangs is lost: what it was given stays its own, because its command buffers hold it.
  if (fault == Fault::kHung) fault = Fault::kLost;
  if (fault == Fault::kNone || fault_ == Fault::kLost) return;
  if (fault_ != Fault::kNone && fault != Fault::kLost) return;
  fault_ = fault;
  reason_ = reason;
}

Status MetalQueue::health() const {
  if (fault_ != Fault::kLost) return {};
  return error(NF_DEVICE_LOST, "the device %s was lost: %s", device_->adapter().name.c_str(),
               reason_.c_str());
}

Status MetalQueue::take_error(const char* what) {
  NF_TRY(lost_in(what));
  const Fault fault = std::exchange(fault_, Fault::kNone);
  switch (fault) {
    case Fault::kNone:
    case Fault::kLost:
    case Fault::kHung:
      return {};
    case Fault::kOutOfMemory:
      return error(NF_RESOURCE_EXHAUSTED, "%s: %s has no memory for it: %s", what,
                   device_->adapter().name.c_str(), reason_.c_str());
    case Fault::kTimeout:
      return error(NF_INTERNAL, "%s: %s stopped a kernel that took too long: %s", what,
                   device_->adapter().name.c_str(), reason_.c_str());
    case Fault::kOther:
      break;
  }
  return error(NF_INTERNAL, "%s: %s: %s", what, device_->adapter().name.c_str(), reason_.c_str());
}

bool MetalQueue::begin(std::unique_ptr<Commands>* commands) {
  if (*commands == nullptr) *commands = device_->begin();
  if (*commands == nullptr) note(Fault::kOutOfMemory, "no command buffer");
  return *commands != nullptr;
}

Status MetalQueue::pipeline_for(const gpu::Kernel& kernel, const gpu::Variant& variant, Compiled** out) {
  const std::string name = std::string(kernel.name) + "_m" + std::to_string(variant.metric) + "_q" +
                           std::to_string(variant.query_block) + "_c" + std::to_string(variant.list_capacity);
  Compiled& compiled = pipelines_[name];
  if (compiled.pipeline == nullptr) {
    const bool known =
        std::any_of(std::begin(kInstances), std::end(kInstances), [&](const Instance& instance) {
          return std::strcmp(instance.name, kernel.name) == 0 && instance.metric == variant.metric &&
                 instance.query_block == variant.query_block &&
                 instance.list_capacity == variant.list_capacity;
        });
    if (!known) return error(NF_INTERNAL, "no Metal kernel is called %s", name.c_str());
    NF_TRY(device_->compile(name, kLanes, &compiled.pipeline));
  }
  *out = &compiled;
  return {};
}

Status MetalQueue::dispatch(const gpu::Dispatch& dispatch) {
  NF_TRY(health());
  Compiled* compiled = nullptr;
  NF_TRY(pipeline_for(dispatch.kernel, dispatch.variant, &compiled));
  const Block* blocks[kMostBuffers];
  const size_t count = dispatch.buffers.size();
  if (count > kMostBuffers)
    return error(NF_INTERNAL, "kernel %s: %zu buffers, %zu at most", dispatch.kernel.name, count,
                 kMostBuffers);
  for (size_t i = 0; i < count; ++i) blocks[i] = &block_of(*dispatch.buffers[i]);
  if (!begin(&gathered_.commands)) return take_error(dispatch.kernel.name);
  gathered_.commands->dispatch(*compiled->pipeline, dispatch.params, dispatch.params_bytes, {blocks, count},
                               dispatch.grid, kLanes);
  gathered_.measurable = gathered_.measurable && compiled->used;
  compiled->used = true;
  return {};
}

void MetalQueue::copy(const gpu::Buffer& from, uint64_t from_offset, const gpu::Buffer& to,
                      uint64_t to_offset, uint64_t bytes) {
  if (health().ok() && begin(&gathered_.commands))
    gathered_.commands->copy(block_of(from), from_offset, block_of(to), to_offset, bytes);
}

}  // namespace nearfield::metal
