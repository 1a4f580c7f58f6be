// SPDX-License-Identifier: Apache-2.0
// What an index should hold: rows, which of them live, and the right answers over them.
#pragma once

#include <cstdint>
#include <vector>

#include "index.hpp"
#include "problem.hpp"

namespace nearfield::test {

class Model {
 public:
  Model(int32_t metric, int32_t dim) : metric_(metric), data_(0, dim, false) {}

  int64_t rows() const { return data_.rows(); }
  int64_t live_rows() const;
  bool live(int64_t row) const { return live_[static_cast<size_t>(row)] != 0; }
  void add(const Vectors& rows, bool live = true);
  void replace(int64_t row, const float* from) { data_.set_row(row, from); }
  void set_live(int64_t row, bool live) { live_[static_cast<size_t>(row)] = live; }
  // Throws unless new_row is a right answer of compact: live rows keep their order and are all there, numbers
  // are dense; dead rows are dropped or, when they died during compaction (`since[row]` set), may have
  // stayed.
  void compact(const std::vector<int64_t>& new_row, const std::vector<uint8_t>& since);
  // Counts, the ranking over live rows (of those that the filter keeps) and the stored bits.
  void check_search(Index& index, const Vectors& queries, int64_t k, const std::vector<uint32_t>* bits,
                    SearchOptions options = {}) const;
  void check_stored(Index& index) const;

 private:
  int32_t metric_;
  Vectors data_;
  std::vector<uint8_t> live_;
};

}  // namespace nearfield::test
