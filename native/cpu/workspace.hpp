// SPDX-License-Identifier: Apache-2.0
// Memory of a flat search, kept between searches of a device.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "select.hpp"
#include "tile32.hpp"

namespace nearfield::cpu {

// Floats that vector loads may be aligned on.
class AlignedFloats {
 public:
  float* get() const { return data_.get(); }
  int64_t size() const { return size_; }
  // At least `size` floats; what was there is lost when it grows.
  void fit(int64_t size) {
    if (size <= size_) return;
    data_.reset();
    size_ = 0;
    data_.reset(static_cast<float*>(::operator new(static_cast<size_t>(size) * sizeof(float), kAlignment)));
    size_ = size;
  }

 private:
  static constexpr std::align_val_t kAlignment{64};  // a cache line, and the widest vector register
  struct Free {
    void operator()(float* data) const { ::operator delete(data, kAlignment); }
  };
  std::unique_ptr<float, Free> data_;
  int64_t size_ = 0;
};

// One query as one worker sees it.
struct QueryState {
  Queue queue;
  int32_t rescored = 0;
};

struct WorkerSpace {
  std::vector<QueryState> states;  // per query
  std::vector<float> limits;       // per query: a rank above it is not wanted
  std::vector<float> cuts;         // per query: what the product kernel compares with
  AlignedFloats packed;            // a group and its side values, with the product kernel

  static constexpr uint64_t bytes_per_query() { return sizeof(QueryState) + 2 * sizeof(float); }
  static constexpr uint64_t packed_bytes(uint64_t padded) {
    return (padded + 1) * kGroupRows * sizeof(float);
  }
  uint64_t bytes() const {
    uint64_t sum = states.capacity() * sizeof(QueryState) +
                   static_cast<uint64_t>(packed.size()) * sizeof(float) +
                   (limits.capacity() + cuts.capacity()) * sizeof(float);
    for (const QueryState& state : states) sum += state.queue.bytes();
    return sum;
  }
};

struct Workspace {
  std::vector<WorkerSpace> workers;
  std::unique_ptr<SharedLimit[]> limits;  // per query
  int64_t limit_count = 0;
  std::vector<double> squared;  // per query its norm, with the product kernel
  AlignedFloats panels;         // the queries, with the product kernel

  static constexpr uint64_t product_bytes_per_query(uint64_t padded) {
    return sizeof(double) + padded * sizeof(float);
  }
  uint64_t bytes() const {
    uint64_t sum = static_cast<uint64_t>(limit_count) * sizeof(SharedLimit) +
                   static_cast<uint64_t>(panels.size()) * sizeof(float) + squared.capacity() * sizeof(double);
    for (const WorkerSpace& worker : workers) sum += worker.bytes();
    return sum;
  }

  // For a part of `queries`, whose limits start anew.
  void fit(int32_t worker_count, int64_t queries) {
    if (limit_count < queries) {
      limits = std::make_unique<SharedLimit[]>(static_cast<size_t>(queries));
      limit_count = queries;
    }
    for (int64_t i = 0; i < queries; ++i) limits[static_cast<size_t>(i)].reset();
    workers.resize(std::max(workers.size(), static_cast<size_t>(worker_count)));
    for (WorkerSpace& worker : workers)
      if (static_cast<int64_t>(worker.states.size()) < queries)
        worker.states.resize(static_cast<size_t>(queries));
  }
  void fit_product(int32_t worker_count, int64_t queries, int64_t padded) {
    squared.resize(static_cast<size_t>(queries));
    panels.fit(queries * padded);
    for (int32_t i = 0; i < worker_count; ++i)
      workers[static_cast<size_t>(i)].packed.fit((padded + 1) * kGroupRows);
  }
};

}  // namespace nearfield::cpu
