// SPDX-License-Identifier: Apache-2.0
// Vectors on their way to a device, checked a unit at a time: the next one on a thread of its own, while the
// device works on the one before. What a mapped file is waited for, and what one core does for the device, is
// then over when it is needed.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <thread>
#include <vector>

#include "call.hpp"
#include "checks.hpp"
#include "status.hpp"

namespace nearfield {

class Lookahead {
 public:
  // Lives within one call: `rows` are the caller's, who may unmap them afterwards. `first` is the number in
  // messages of row 0. Units of `unit` rows; not `ahead`: no thread, each is checked when it is come to.
  Lookahead(const Call& call, const VectorRules& rules, const MatrixView& rows, const char* noun,
            int64_t first, int64_t unit, bool ahead)
      : call_(call), rules_(rules), rows_(rows), noun_(noun), first_(first), unit_(unit), ahead_(ahead) {}
  // Ends the thread, which looks up every 256 KiB.
  ~Lookahead();
  Lookahead(const Lookahead&) = delete;
  Lookahead& operator=(const Lookahead&) = delete;

  // What is kept beside rows (row_side), of at least one and at most `count` from `begin` on, where the last
  // answer ended; valid until the next call. A unit with a row that may not be fails when it is come to.
  Status take(int64_t begin, int64_t count, std::span<const float>* side);

 private:
  int64_t rows_of(int64_t unit) const { return std::min(unit_, rows_.rows - unit * unit_); }
  std::vector<float>& side_of(int64_t unit) { return sides_[unit % 2]; }
  Status check(int64_t unit);
  void begin_ahead(int64_t unit);

  const Call call_;
  const VectorRules rules_;
  const MatrixView rows_;
  const char* const noun_;
  const int64_t first_, unit_;
  const bool ahead_;
  int64_t checked_ = 0;          // units, up to the one that rows are taken of
  std::vector<float> sides_[2];  // of that one, and of the next
  std::thread thread_;           // on the next
  Status status_;                // of the thread
  std::atomic<bool> stop_ = false;
};

}  // namespace nearfield
