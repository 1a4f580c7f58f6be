// SPDX-License-Identifier: Apache-2.0
// The best k of the hits one thread has seen for one query. Keys (rank, row) are unique, so the selection
// does not depend on order or threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "backend.hpp"

namespace nearfield::cpu {

class Queue {
 public:
  // Starts over; memory is kept.
  void reset(int64_t k);
  // Goes on for the best k of the hits whose rank is at most `limit`: those it holds, and those to come.
  void resume(int64_t k, float limit);

  // A hit whose rank is above this cannot be among the best k.
  float limit() const { return worst_.rank; }

  void push(const Hit& hit) {
    if (!better(hit, worst_)) return;
    if (k_ <= kSorted)
      insert(hit);
    else
      append(hit);
  }

  // At most 2k - 1 hits, the best k among them, in no order.
  std::span<const Hit> hits() const { return hits_; }
  uint64_t bytes() const { return hits_.capacity() * sizeof(Hit); }
  // Bytes of a queue that has seen `rows` rows, at most.
  static uint64_t most_bytes(int64_t k, int64_t rows);

 private:
  // Up to here a sorted insertion moves at most 1 KiB, less than a selection over a buffer costs per hit.
  static constexpr int64_t kSorted = 64;

  void insert(const Hit& hit);
  void append(const Hit& hit);
  // Worse than every hit of this rank.
  static Hit last_of(float rank) { return {std::numeric_limits<int64_t>::max(), rank, 0}; }
  static Hit none() { return last_of(std::numeric_limits<float>::infinity()); }

  int64_t k_ = 0;
  Hit worst_ = none();     // no hit behind this one is among the best k
  std::vector<Hit> hits_;  // k <= kSorted: sorted; else a buffer cut back to k whenever it holds 2k
};

// The smallest limit that any thread has reached for a query. It only ever falls; reading an old value costs
// time, never a result.
class SharedLimit {
 public:
  void reset() { value_.store(std::numeric_limits<float>::infinity(), std::memory_order_relaxed); }
  float get() const { return value_.load(std::memory_order_relaxed); }
  void lower(float limit) {
    float now = get();
    while (limit < now && !value_.compare_exchange_weak(now, limit, std::memory_order_relaxed)) {
    }
  }

 private:
  std::atomic<float> value_{std::numeric_limits<float>::infinity()};
};

// The best k of several queues of one query, best first; the tail of `out` (k entries) has row kNoRow.
void merge(std::vector<Hit>* scratch, int64_t k, Hit* out);

}  // namespace nearfield::cpu
