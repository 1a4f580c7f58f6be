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
  // Of an index of `rows` rows. No shadow: none is dead, so that all rows stay where they are and only their
  // numbers are given out.
  Compaction(std::unique_ptr<Store> shadow, int64_t rows);

  int64_t cursor() const { return cursor_; }  // rows below it are passed
  uint64_t device_bytes() const { return shadow_ == nullptr ? 0 : shadow_->device_bytes(); }
  uint64_t code_bytes() const { return shadow_ == nullptr ? 0 : shadow_->code_bytes(); }
  // New number of a row below the cursor, or kNoRow when it was dropped.
  int64_t new_number(int64_t row) const;

  // Copies the live rows of [cursor, end).
  Status advance(const Call& call, Store& from, const LiveBits& live, int64_t end);

  // Repeat a change of the index. False when the shadow cannot follow (a dropped row was revived, the device
  // refused): the compaction must begin anew.
  bool follow_write(const Call& call, std::span<const int64_t> rows, const HostRows& data, int32_t dim);
  bool follow_live(const Call& call, std::span<const int64_t> rows, bool live);
  bool follow_live_range(const Call& call, int64_t first, int64_t count, bool live);

  // Puts the copy in the place of the index's rows, all of which are passed.
  void finish(std::unique_ptr<Store>* store, LiveBits* live) noexcept;

 private:
  int64_t copies_before(int64_t row) const;  // of the rows below `row`, which is at most the cursor

  std::unique_ptr<Store> shadow_;
  LiveBits live_;  // of the shadow
  int64_t cursor_ = 0;
  // Bit per row below the cursor: it was copied. With the copies before each word, 3 bits a row give every
  // new number.
  std::vector<uint32_t> kept_;
  std::vector<int64_t> kept_before_;
};

}  // namespace nearfield
