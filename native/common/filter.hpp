// SPDX-License-Identifier: Apache-2.0
// Which rows a query may return: nf_filter, checked and looked at as a set of live rows.
#pragma once

#include <cstdint>
#include <vector>

#include "checks.hpp"
#include "live_bits.hpp"

namespace nearfield {

class RowFilter {
 public:
  // Checks against an index of `rows` rows. NF_ALL and a NULL filter keep every row.
  static Status read(const Call& call, const char* name, const nf_filter* from, int64_t rows, RowFilter* to);
  // Without a look at the row numbers of NF_ROWS, which a step before has checked.
  static Status read_again(const Call& call, const char* name, const nf_filter* from, RowFilter* to);
  // NF_BITSET over words that outlive it.
  static RowFilter of_bits(const uint32_t* words, int64_t count);

  bool keeps_all() const { return kind_ == NF_ALL; }
  int32_t kind() const { return kind_; }
  int64_t size() const { return count_; }  // words, or rows
  // The part of the filter over rows [first, ...), renumbered from 0; `first` is a multiple of 32.
  RowFilter from_row(int64_t first) const;

  int64_t count(const LiveBits& live) const;
  // Appends the live rows it keeps, ascending.
  void append_rows(const LiveBits& live, std::vector<int64_t>* rows) const;
  // The caller's own words when they cover every group, else NULL: then fill_mask() makes them.
  const uint32_t* whole_mask(const LiveBits& live) const;
  // The one or the other, made in `own`.
  const uint32_t* mask(const LiveBits& live, std::vector<uint32_t>* own) const;
  // Writes live.word_count() words; dead rows may be set, the kernel ANDs the live bits.
  void fill_mask(const LiveBits& live, uint32_t* words) const;

 private:
  template <typename Visit>
  void for_each_row(const LiveBits& live, const Visit& visit) const;

  int32_t kind_ = NF_ALL;
  const uint32_t* bits_ = nullptr;
  const int64_t* rows_ = nullptr;
  int64_t count_ = 0;  // words, or rows
  int64_t first_ = 0;  // what rows_ counts from
};

}  // namespace nearfield
