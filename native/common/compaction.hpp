// SPDX-License-Identifier: Apache-2.0
// A compaction under way: live rows go to a shadow store in order, block by block, while the index goes on
// serving. What changes in rows already passed is repeated on the shadow.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "backend.hpp"
#include "live_bits.hpp"

namespace nearfield {

class Compaction {
 public:
  explicit Compaction(std::unique_ptr<Store> shadow) : shadow_(std::move(shadow)) {}

  int64_t cursor() const { return cursor_; }  // rows below it are decided
  int64_t kept() const { return shadow_->rows(); }
  uint64_t device_bytes() const { return shadow_->device_bytes(); }
  // New number of a row below the cursor, or kNoRow when it was dropped.
  int64_t new_number(int64_t row) const;

  // Copies the live rows of [cursor, end); `end` is a multiple of 32 or the last row.
  Status advance(const Call& call, Store& from, const LiveBits& live, int64_t end);

  // Repeat a change of the index. False when the shadow cannot follow (a dropped row was revived, the device
  // refused): the compaction must start again.
  bool follow_write(const Call& call, std::span<const int64_t> rows, const HostRows& data, int32_t dim);
  bool follow_live(const Call& call, std::span<const int64_t> rows, bool live);

  std::unique_ptr<Store> take_shadow() { return std::move(shadow_); }

 private:
  std::unique_ptr<Store> shadow_;
  int64_t cursor_ = 0;
  // Bit per row below the cursor: it was copied. With the copies before each word, 3 bits a row give every
  // new number.
  std::vector<uint32_t> kept_;
  std::vector<int64_t> kept_before_;
};

}  // namespace nearfield
