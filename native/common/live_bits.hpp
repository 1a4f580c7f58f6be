// SPDX-License-Identifier: Apache-2.0
// Host mirror of the live bits of a store: one 32-bit word per group of 32 rows, bits past the last row are
// 0.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tile32.hpp"

namespace nearfield {

class LiveBits {
 public:
  int64_t rows() const { return rows_; }
  int64_t live() const { return live_; }
  const uint32_t* words() const { return words_.data(); }
  int64_t word_count() const { return static_cast<int64_t>(words_.size()); }

  bool is_live(int64_t row) const {
    return (words_[static_cast<size_t>(row / kGroupRows)] >> (row % kGroupRows) & 1) != 0;
  }

  // Makes room for `count` more rows, so that append() cannot fail. Doubles, for rows may come one by one.
  void reserve(int64_t count) {
    const auto needed = static_cast<size_t>(groups_of(rows_ + count));
    if (needed > words_.capacity()) words_.reserve(std::max(needed, 2 * words_.capacity()));
  }

  void append(int64_t count) {
    words_.resize(static_cast<size_t>(groups_of(rows_ + count)));
    for (int64_t end = rows_ + count; rows_ < end;) {
      const int64_t in_word = rows_ % kGroupRows;
      const int64_t taken = std::min(kGroupRows - in_word, end - rows_);
      const uint64_t ones = (uint64_t{1} << taken) - 1;
      words_[static_cast<size_t>(rows_ / kGroupRows)] |= static_cast<uint32_t>(ones << in_word);
      rows_ += taken;
    }
    live_ += count;
  }

  // True when this changed the row.
  bool set(int64_t row, bool live) {
    if (is_live(row) == live) return false;
    words_[static_cast<size_t>(row / kGroupRows)] ^= uint32_t{1} << (row % kGroupRows);
    live_ += live ? 1 : -1;
    return true;
  }

 private:
  std::vector<uint32_t> words_;
  int64_t rows_ = 0;
  int64_t live_ = 0;
};

}  // namespace nearfield
