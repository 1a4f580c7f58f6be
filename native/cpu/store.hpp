// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "backend.hpp"
#include "pages.hpp"
#include "shared_state.hpp"
#include "slabs.hpp"

namespace nearfield::cpu {

// Rows, side values and live bits of one slab, in one block of memory, all zero at first.
struct Slab {
  Pages pages;
  float* vectors = nullptr;  // tile32
  float* side = nullptr;
  uint32_t* live = nullptr;  // a word per group
  int64_t first = 0;         // row number of its first row
  int64_t groups = 0;

  static uint64_t bytes(int64_t rows, int32_t dim);
  // False when the system has no memory left.
  bool allocate(const SlabMap::Slab& place, int32_t dim);
};

class CpuStore final : public Store {
 public:
  CpuStore(std::shared_ptr<SharedState> shared, const StoreOptions& options);
  ~CpuStore() override;

  // What device_bytes() is after the first append to a store made with `options`, if all rows fit its
  // capacity.
  static uint64_t estimate(const StoreOptions& options, uint64_t slab_bytes);

  int64_t rows() const override { return rows_; }
  uint64_t device_bytes() const override { return bytes_; }
  uint64_t workspace_bytes() const override { return state_->workspace.bytes(); }
  Status append(const HostRows& from, const Call& call) override;
  Status append_from(Store& from, std::span<const int64_t> rows, const Call& call) override;
  Status write(std::span<const int64_t> rows, const HostRows& from, const Call& call) override;
  Status read(std::span<const int64_t> rows, float* out, int64_t stride, const Call& call) override;
  Status set_live(std::span<const int64_t> rows, bool live, const Call& call) override;
  Status set_live_range(int64_t first, int64_t count, bool live, const Call& call) override;
  Status search(const SearchPlan& plan, const Call& call) override;
  Status score(const ScorePlan& plan, const Call& call) override;

  // For the operations (flat.cpp, score.cpp).
  const StoreOptions& options() const { return options_; }
  int64_t chunks() const { return padded_dim(options_.dim) / kChunkFloats; }
  const std::vector<Slab>& slabs() const { return slabs_; }
  const float* row(int64_t row, float* side) const;

 private:
  // Adds slabs so that `rows` rows fit, or none.
  Status grow(int64_t rows, const char* operation);
  Status try_grow(const std::vector<SlabMap::Slab>& missing, const char* operation);
  void shrink(const SlabMap& map);
  // Calls put(i, slab, row in the slab) for i = 0..count-1 as the rows after the present ones, then makes
  // them live as live(i) says; nothing has changed if it fails.
  template <class Put, class Live>
  Status append_rows(int64_t count, const Call& call, const Put& put, const Live& live);

  std::shared_ptr<SharedState> state_;
  StoreOptions options_;
  SlabMap map_;
  std::vector<Slab> slabs_;
  int64_t rows_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace nearfield::cpu
