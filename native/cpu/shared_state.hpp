// SPDX-License-Identifier: Apache-2.0
// What a device and its stores share. Held by shared_ptr from each: the last one out joins the threads.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels.hpp"
#include "pool.hpp"
#include "select.hpp"

namespace nearfield::cpu {

// One query as one worker sees it.
struct QueryState {
  Queue queue;
  float limit = 0;            // the limit that `cut` was computed for
  float cut = 0;              // matrix form: MatrixBound::cut
  int32_t direct_groups = 0;  // groups to come that skip the matrix form
  int32_t rescored = 0;
};

// Kept between searches.
struct Workspace {
  std::vector<std::vector<QueryState>> states;  // [worker][query]
  std::unique_ptr<SharedLimit[]> limits;        // [query]
  int64_t limit_count = 0;

  uint64_t bytes() const {
    uint64_t sum = static_cast<uint64_t>(limit_count) * sizeof(SharedLimit);
    for (const auto& of_worker : states) {
      sum += of_worker.capacity() * sizeof(QueryState);
      for (const QueryState& state : of_worker) sum += state.queue.bytes();
    }
    return sum;
  }
};

struct SharedState {
  const Kernels* kernels = nullptr;
  std::unique_ptr<Pool> pool;
  uint64_t slab_bytes = 0;
  uint64_t memory_limit = 0;  // bytes of all stores together
  uint64_t memory_used = 0;
  uint64_t workspace_limit = 0;
  bool workspace_limit_given = false;  // by the caller: then queues that pass it are refused
  Workspace workspace;
};

}  // namespace nearfield::cpu
