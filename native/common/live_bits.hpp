// SPDX-License-Identifier: Apache-2.0
// Host mirror of the live bits of a store: one 32-bit word per group of 32 rows, bits past the last row are
// 0.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "tile32.hpp"

namespace nearfield {

// Calls visit(word, bits of it) for every word that rows [first, first + count) touch.
template <typename Visit>
void for_each_word(int64_t first, int64_t count, const Visit& visit) {
  for (const int64_t end = first + count; first < end;) {
    const int64_t in_word = first % kGroupRows;
    const int64_t taken = std::min(kGroupRows - in_word, end - first);
    visit(first / kGroupRows, static_cast<uint32_t>(((uint64_t{1} << taken) - 1) << in_word));
    first += taken;
  }
}

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

  void append(int64_t count, bool live) {
    const int64_t first = rows_;
    words_.resize(static_cast<size_t>(groups_of(rows_ + count)));
    rows_ += count;
    if (live) set_range(first, count, true);
  }

  // How many of the rows [first, first + count) live.
  int64_t live_in(int64_t first, int64_t count) const {
    int64_t live = 0;
    for_each_word(first, count, [&](int64_t word, uint32_t bits) {
      live += std::popcount(words_[static_cast<size_t>(word)] & bits);
    });
    return live;
  }

  // True when this changed the row.
  bool set(int64_t row, bool live) {
    if (is_live(row) == live) return false;
    words_[static_cast<size_t>(row / kGroupRows)] ^= uint32_t{1} << (row % kGroupRows);
    live_ += live ? 1 : -1;
    return true;
  }

  void set_range(int64_t first, int64_t count, bool live) {
    live_ += (live ? count : 0) - live_in(first, count);
    for_each_word(first, count, [&](int64_t word, uint32_t bits) {
      uint32_t& of_rows = words_[static_cast<size_t>(word)];
      of_rows = live ? of_rows | bits : of_rows & ~bits;
    });
  }

 private:
  std::vector<uint32_t> words_;
  int64_t rows_ = 0;
  int64_t live_ = 0;
};

}  // namespace nearfield
