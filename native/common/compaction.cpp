// SPDX-License-Identifier: Apache-2.0
#include "compaction.hpp"

#include <algorithm>
#include <bit>

#include "tile32.hpp"

namespace nearfield {

int64_t Compaction::new_number(int64_t row) const {
  const auto word = static_cast<size_t>(row / kGroupRows);
  const uint32_t bit = uint32_t{1} << (row % kGroupRows);
  if ((kept_[word] & bit) == 0) return kNoRow;
  return kept_before_[word] + std::popcount(kept_[word] & (bit - 1));
}

Status Compaction::advance(const Call& call, Store& from, const LiveBits& live, int64_t end) {
  // The cursor stands inside a word when it had reached the last row and rows were added since.
  const auto words = static_cast<size_t>(groups_of(end));
  kept_.resize(words);
  kept_before_.resize(words);
  std::vector<int64_t> block;
  block.reserve(static_cast<size_t>(end - cursor_));
  for (int64_t row = cursor_; row < end; ++row)
    if (live.is_live(row)) block.push_back(row);

  int64_t copied = shadow_->rows();
  if (!block.empty()) NF_TRY(shadow_->append_from(from, block, call));
  size_t next = 0;
  for (int64_t row = cursor_; row < end; ++row) {
    const auto word = static_cast<size_t>(row / kGroupRows);
    if (row % kGroupRows == 0) kept_before_[word] = copied;
    if (next == block.size() || block[next] != row) continue;
    kept_[word] |= uint32_t{1} << (row % kGroupRows);
    ++copied;
    ++next;
  }
  cursor_ = end;
  return {};
}

bool Compaction::follow_write(const Call& call, std::span<const int64_t> rows, const HostRows& data,
                              int32_t dim) {
  std::vector<int64_t> moved;
  std::vector<float> vectors, side;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] >= cursor_) continue;
    const int64_t row = new_number(rows[i]);
    if (row == kNoRow) continue;
    moved.push_back(row);
    side.push_back(data.side[i]);
    const float* vector = data.data + static_cast<int64_t>(i) * data.stride;
    vectors.insert(vectors.end(), vector, vector + dim);
  }
  if (moved.empty()) return true;
  const HostRows packed{vectors.data(), static_cast<int64_t>(moved.size()), dim, side.data()};
  return shadow_->write(moved, packed, call).ok();
}

bool Compaction::follow_live(const Call& call, std::span<const int64_t> rows, bool live) {
  std::vector<int64_t> moved;
  for (const int64_t old : rows) {
    if (old >= cursor_) continue;
    const int64_t row = new_number(old);
    if (row != kNoRow) moved.push_back(row);
    if (row == kNoRow && live) return false;
  }
  return moved.empty() || shadow_->set_live(moved, live, call).ok();
}

}  // namespace nearfield
