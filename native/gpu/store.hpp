// SPDX-License-Identifier: Apache-2.0
// Rows on a GPU: slabs of tile32 groups, a live bit each.
#pragma once

#include <functional>
#include <vector>

#include "context.hpp"
#include "slab_storage.hpp"

namespace nearfield::gpu {

// Row numbers travel as u32 in the kernels, 0xffffffff means "none".
inline constexpr int64_t kMaxRows = 0xfffffffe;
// The first progress word while rows are copied (nearfield.h: nf_call).
inline constexpr int64_t kPhaseCopy = 2;

struct SlabBuffers {
  Buffer vectors;
  Buffer side;  // where Context::has_side(metric)
  Buffer live;  // one word per group
};

// Bytes of a slab on the device.
uint64_t slab_device_bytes(const SlabMap::Slab& slab, bool has_side, int32_t dim);

class GpuStore final : public Store {
 public:
  GpuStore(std::shared_ptr<Context> context, const StoreOptions& options);

  int64_t rows() const override { return rows_; }
  uint64_t device_bytes() const override { return slabs_.bytes(); }
  uint64_t workspace_bytes() const override { return context_->workspace_bytes(); }
  Status append(const HostRows& from, const Call& call) override;
  Status append_from(Store& from, std::span<const int64_t> rows, const Call& call) override;
  Status write(std::span<const int64_t> rows, const HostRows& from, const Call& call) override;
  Status read(std::span<const int64_t> rows, float* out, int64_t stride, const Call& call) override;
  Status set_live(std::span<const int64_t> rows, bool live, const Call& call) override;
  Status set_live_range(int64_t first, int64_t count, bool live, const Call& call) override;
  Status search(const SearchPlan& plan, const Call& call) override;
  Status score(const ScorePlan& plan, const Call& call) override;

 private:
  friend class Scan;

  // Where a row of one side of a move lies: plain rows have slab -1.
  struct Step {
    int64_t from_slab, to_slab;
    Move move;
  };

  // Adds slabs for `count` more rows, runs `fill`, makes the rows live as `live` says (NULL: all); nothing
  // has changed when a step fails.
  Status grow(int64_t count, const std::function<Status()>& fill, const std::vector<bool>* live,
              const char* what);
  Status allocate(const SlabMap::Slab& place, const char* what, SlabBuffers* out);
  // Copies plain rows to the rows that `row_of(i)` names.
  Status upload(const HostRows& from, const std::function<int64_t(int64_t)>& row_of, const Call* call,
                const char* what);
  // Copies rows of `from` to the rows after the present ones.
  Status copy_from(const GpuStore& from, std::span<const int64_t> rows, const Call& call, const char* what);
  // Encodes `steps`, which lie in the workspace at kMoves in this order.
  Status encode_moves(const std::vector<Step>& steps, const GpuStore* source);
  // Lets `change` change live words of these rows and writes them; on failure all are as they were.
  template <typename Change>
  Status change_live(int64_t first_row, int64_t last_row, const Call& call, const Change& change);
  // The live words of groups from `first_group` on.
  Status write_live(int64_t first_group, std::span<const uint32_t> words, const char* what);
  int64_t staged_rows() const;  // rows of one staging buffer
  bool has_side() const { return context_->has_side(options_.metric); }
  uint32_t chunks() const { return static_cast<uint32_t>(padded_dim(options_.dim) / kChunkFloats); }
  uint64_t row_bytes() const { return static_cast<uint64_t>(padded_dim(options_.dim)) * sizeof(float); }

  std::shared_ptr<Context> context_;
  StoreOptions options_;
  SlabStorage<SlabBuffers> slabs_;
  std::vector<uint32_t> live_;  // the live words of all rows, as on the device
  int64_t rows_ = 0;
};

}  // namespace nearfield::gpu
