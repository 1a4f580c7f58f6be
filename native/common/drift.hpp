// SPDX-License-Identifier: Apache-2.0
// How much worse the lists suit the rows that there are than those they were trained on: nf_index_info.drift.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace nearfield {

class Drift {
 public:
  // Rows that a build of lists measures, and those that stand for them where there were none. The standard
  // error of their mean is 2% at most where no cost is above twice the mean, as in clusters of many
  // dimensions.
  static constexpr int64_t kSample = 4096;

  // Of lists that are built: the mean cost (CoarseQuantizer::cost) of a sample of their rows.
  void begin(double mean) {
    trained_ = built_ = mean;
    is_open_ = false;
  }
  // Of a row that was added or replaced since.
  void note(double cost) {
    written_ += cost;
    ++count_;
    // Lists that were trained on other rows than the index's: the first ones count as those of the training.
    if (is_open_) trained_ = built_ = written_ / static_cast<double>(count_);
    if (count_ == kSample) is_open_ = false;
  }
  // Of lists that were changed, not trained: what they are compared with.
  void keep_trained(const Drift& before) {
    if (is_open_)
      *this = before;
    else if (!before.is_open_)
      trained_ = before.trained_;
  }
  // Rows were dropped, about as many of those written since as of the others.
  void keep_share(double share) {
    written_ *= share;
    count_ = static_cast<int64_t>(static_cast<double>(count_) * share);
  }

  double value(int64_t rows) const {
    if (is_open_ || rows == 0) return 0;
    const double all = static_cast<double>(rows), written = static_cast<double>(std::min(count_, rows));
    const double mean_written = count_ == 0 ? 0 : written_ / static_cast<double>(count_);
    const double now = built_ + (mean_written - built_) * written / all;
    if (now <= trained_) return 0;
    return trained_ > 0 ? now / trained_ - 1 : std::numeric_limits<double>::infinity();
  }

 private:
  double trained_ = 0, built_ = 0;
  double written_ = 0;  // sum
  int64_t count_ = 0;
  bool is_open_ = true;  // nothing was measured yet
};

}  // namespace nearfield
