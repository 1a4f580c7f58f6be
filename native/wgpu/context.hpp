// SPDX-License-Identifier: Apache-2.0
// What the Device and the Stores of one nf_context share: the GPU, its pipelines, the workspace, the limits.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>

#include "backend.hpp"
#include "gpu.hpp"
#include "params.hpp"
#include "pipelines.hpp"

namespace nearfield::wgpu {

// Workspace buffers, grown when needed and kept between calls.
enum Work : uint32_t {
  kUniforms,     // parameter blocks of one submission
  kUnused,       // bound where a kernel has no use for a read-only binding
  kUnusedWrite,  // likewise, writable
  kQueries,
  kMasks,
  kParts,    // flat: lists of the parts of a scan; radix: collected entries; score: keys
  kBest,     // flat: the k best so far; radix: bins
  kLimits,   // flat: per query a key that k rows do not exceed; radix: digits
  kStaging,  // plain rows on their way in or out
  kStagingSide,
  kMoves,  // index pairs of a move or a scoring
  kReadback,
  kWorkCount
};
using WorkSizes = std::array<uint64_t, kWorkCount>;

struct Grid {
  uint32_t x, y;
};

class Context {
 public:
  static Status create(std::shared_ptr<Native> native, const DeviceOptions& options,
                       std::shared_ptr<Context>* out);
  Context(std::shared_ptr<Gpu> gpu, const DeviceOptions& options);

  Gpu& gpu() { return *gpu_; }
  Pipelines& pipelines() { return pipelines_; }

  uint64_t binding_limit() const { return binding_limit_; }  // bytes of one storage binding
  uint64_t slab_bytes() const { return slab_bytes_; }
  uint64_t memory_limit() const { return memory_limit_; }  // of all stores, 0: none
  uint64_t store_bytes = 0;                                // allocated by all stores

  // Makes every buffer at least `wanted` bytes large, freeing others when the limit asks for it.
  Status reserve(const WorkSizes& wanted, const char* what);
  const Buffer& work(Work which) const { return work_[which]; }
  uint64_t workspace_bytes() const;
  uint64_t fixed_workspace() const {
    return work_[kUniforms].size() + work_[kUnused].size() + work_[kUnusedWrite].size();
  }
  // What the limit leaves to the buffers whose size an operation chooses.
  uint64_t free_workspace() const {
    return workspace_limit_ > fixed_workspace() ? workspace_limit_ - fixed_workspace() : 0;
  }

  // Workgroups in two dimensions; x * y may exceed `workgroups`, kernels return early then.
  Grid grid(uint64_t workgroups) const;

 private:
  friend class Commands;
  std::shared_ptr<Gpu> gpu_;
  Pipelines pipelines_;
  std::array<Buffer, kWorkCount> work_;
  uint64_t binding_limit_, slab_bytes_, memory_limit_, workspace_limit_;
  uint32_t max_grid_;
};

// The commands of one submission: dispatches in order, each seeing what the ones before it wrote, then
// copies.
class Commands {
 public:
  explicit Commands(Context& context) : context_(context) {}
  ~Commands();
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;

  // `params` fills grid_x itself: the caller sets it from Context::grid(). `buffers` follow Kernel::access.
  template <typename Params>
  Status dispatch(const Pipeline& pipeline, const Params& params,
                  std::initializer_list<const Buffer*> buffers, Grid grid) {
    static_assert(sizeof(Params) <= kSlotBytes);
    return dispatch_bytes(pipeline, &params, sizeof(Params), buffers.begin(), buffers.size(), grid);
  }
  void copy(const Buffer& from, uint64_t from_offset, const Buffer& to, uint64_t to_offset, uint64_t bytes);
  bool full() const { return used_ == kSlots; }
  // Hands the commands over and starts anew.
  Status submit(double units, const char* what);

  static constexpr uint64_t kSlotBytes = 256;  // the largest minUniformBufferOffsetAlignment there is
  static constexpr uint32_t kSlots = 256;

 private:
  Status dispatch_bytes(const Pipeline& pipeline, const void* params, size_t bytes,
                        const Buffer* const* buffers, size_t count, Grid grid);
  void end_pass();

  Context& context_;
  WGPUCommandEncoder encoder_ = nullptr;
  WGPUComputePassEncoder pass_ = nullptr;
  uint32_t used_ = 0;
  bool measurable_ = true;  // no pipeline of these commands is used for the first time
  std::vector<uint8_t> uniforms_;
};

}  // namespace nearfield::wgpu
