// SPDX-License-Identifier: Apache-2.0
#include "compaction.hpp"

#include <algorithm>
#include <bit>

#include "tile32.hpp"

namespace nearfield {

Compaction::Compaction(std::unique_ptr<Store> shadow, int64_t rows) : shadow_(std::move(shadow)) {
  if (shadow_ == nullptr) return;
  // At once, so that no step has to move them.
  kept_.reserve(static_cast<size_t>(groups_of(rows)));
  kept_before_.reserve(static_cast<size_t>(groups_of(rows)));
}

int64_t Compaction::copies_before(int64_t row) const {
  if (row == cursor_) return live_.rows();
  const auto word = static_cast<size_t>(row / kGroupRows);
  const uint32_t below = (uint32_t{1} << (row % kGroupRows)) - 1;
  return kept_before_[word] + std::popcount(kept_[word] & below);
}

int64_t Compaction::new_number(int64_t row) const {
  if (shadow_ == nullptr) return row;
  const auto word = static_cast<size_t>(row / kGroupRows);
  if ((kept_[word] >> (row % kGroupRows) & 1) == 0) return kNoRow;
  return copies_before(row);
}

Status Compaction::advance(const Call& call, Store& from, const LiveBits& live, int64_t end) {
  if (shadow_ == nullptr) {
    cursor_ = end;
    return {};
  }
  // The cursor may stand inside a word.
  const auto words = static_cast<size_t>(groups_of(end));
  kept_.resize(words);
  kept_before_.resize(words);
  std::vector<int64_t> block;
  block.reserve(static_cast<size_t>(end - cursor_));
  for (int64_t row = cursor_; row < end; ++row)
    if (live.is_live(row)) block.push_back(row);

  const auto count = static_cast<int64_t>(block.size());
  live_.reserve(count);
  if (!block.empty()) NF_TRY(shadow_->append_from(from, block, call));
  int64_t copied = live_.rows();
  live_.append(count, true);
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
  if (shadow_ == nullptr) return true;
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
  HostRows packed;
  packed.data = vectors.data();
  packed.rows = static_cast<int64_t>(moved.size());
  packed.stride = dim;
  packed.side = side.data();
  return shadow_->write(moved, packed, call).ok();
}

bool Compaction::follow_live(const Call& call, std::span<const int64_t> rows, bool live) {
  if (shadow_ == nullptr) return true;
  std::vector<int64_t> moved;
  for (const int64_t old : rows) {
    if (old >= cursor_) continue;
    const int64_t row = new_number(old);
    if (row != kNoRow) moved.push_back(row);
    if (row == kNoRow && live) return false;
  }
  if (moved.empty()) return true;
  if (!shadow_->set_live(moved, live, call).ok()) return false;
  for (const int64_t row : moved) live_.set(row, live);
  return true;
}

bool Compaction::follow_live_range(const Call& call, int64_t first, int64_t count, bool live) {
  if (shadow_ == nullptr || first >= cursor_) return true;
  // Order is kept: the copies of a range are a range.
  const int64_t end = std::min(first + count, cursor_);
  const int64_t low = copies_before(first), high = copies_before(end);
  if (live && high - low < end - first) return false;  // dropped rows are dead, so that one is revived
  if (low == high) return true;
  if (!shadow_->set_live_range(low, high - low, live, call).ok()) return false;
  live_.set_range(low, high - low, live);
  return true;
}

void Compaction::finish(std::unique_ptr<Store>* store, LiveBits* live) noexcept {
  if (shadow_ == nullptr) return;
  *store = std::move(shadow_);
  *live = std::move(live_);
}

}  // namespace nearfield
