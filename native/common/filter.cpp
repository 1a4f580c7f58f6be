// SPDX-License-Identifier: Apache-2.0
#include "filter.hpp"

#include <algorithm>
#include <bit>
#include <string>

namespace nearfield {

Status RowFilter::read(const Call& call, const char* name, const nf_filter* from, int64_t rows,
                       RowFilter* to) {
  NF_TRY(read_again(call, name, from, to));
  return to->kind_ == NF_ROWS ? check_ascending(call, name, to->rows_, to->count_, rows) : Status();
}

Status RowFilter::read_again(const Call& call, const char* name, const nf_filter* from, RowFilter* to) {
  *to = RowFilter();
  if (from == nullptr) return {};
  nf_filter filter;
  NF_TRY(read_struct(call, name, from, &filter));
  if (filter.kind < NF_ALL)
    return error(NF_INVALID_ARGUMENT, "%s: %s->kind=%d, it must be at least %d and at most %d",
                 call.operation(), name, filter.kind, NF_ALL, NF_ROWS);
  if (filter.kind > NF_ROWS)
    return error(NF_UNIMPLEMENTED, "%s: %s->kind=%d, this library knows %d to %d", call.operation(), name,
                 filter.kind, NF_ALL, NF_ROWS);
  to->kind_ = filter.kind;
  if (filter.kind == NF_ALL) return {};
  NF_TRY(check_count(call, (std::string(name) + "->count").c_str(), filter.count, kMaxRows));
  to->count_ = filter.count;
  if (filter.kind == NF_BITSET) {
    to->bits_ = filter.bits;
    return check_array(call, (std::string(name) + "->bits").c_str(), filter.bits, filter.count);
  }
  to->rows_ = filter.rows;
  return check_array(call, (std::string(name) + "->rows").c_str(), filter.rows, filter.count);
}

RowFilter RowFilter::of_bits(const uint32_t* words, int64_t count) {
  RowFilter filter;
  filter.kind_ = NF_BITSET;
  filter.bits_ = words;
  filter.count_ = count;
  return filter;
}

RowFilter RowFilter::from_row(int64_t first) const {
  RowFilter part = *this;
  if (kind_ == NF_BITSET) {
    const int64_t skipped = std::min(count_, first / kGroupRows);
    part.bits_ += skipped;
    part.count_ -= skipped;
  } else if (kind_ == NF_ROWS) {
    part.rows_ = std::lower_bound(rows_, rows_ + count_, first_ + first);
    part.count_ = rows_ + count_ - part.rows_;
    part.first_ = first_ + first;
  }
  return part;
}

template <typename Visit>
void RowFilter::for_each_row(const LiveBits& live, const Visit& visit) const {
  for (int64_t i = 0; i < count_; ++i) {
    const int64_t row = rows_[i] - first_;
    if (row < 0 || row >= live.rows()) return;  // the rest belongs to a later part
    visit(row);
  }
}

int64_t RowFilter::count(const LiveBits& live) const {
  if (kind_ == NF_ALL) return live.live();
  int64_t kept = 0;
  if (kind_ == NF_ROWS) {
    for_each_row(live, [&](int64_t row) { kept += live.is_live(row) ? 1 : 0; });
  } else {
    const int64_t words = std::min(count_, live.word_count());
    for (int64_t i = 0; i < words; ++i) kept += std::popcount(bits_[i] & live.words()[i]);
  }
  return kept;
}

void RowFilter::append_rows(const LiveBits& live, std::vector<int64_t>* rows) const {
  if (kind_ == NF_ROWS) {
    for_each_row(live, [&](int64_t row) {
      if (live.is_live(row)) rows->push_back(row);
    });
    return;
  }
  const int64_t words = kind_ == NF_ALL ? live.word_count() : std::min(count_, live.word_count());
  for (int64_t i = 0; i < words; ++i) {
    const uint32_t allowed = kind_ == NF_ALL ? ~uint32_t{0} : bits_[i];
    for (uint32_t left = allowed & live.words()[i]; left != 0; left &= left - 1)
      rows->push_back(i * kGroupRows + std::countr_zero(left));
  }
}

const uint32_t* RowFilter::whole_mask(const LiveBits& live) const {
  return kind_ == NF_BITSET && count_ >= live.word_count() ? bits_ : nullptr;
}

const uint32_t* RowFilter::mask(const LiveBits& live, std::vector<uint32_t>* own) const {
  if (const uint32_t* whole = whole_mask(live)) return whole;
  own->resize(static_cast<size_t>(live.word_count()));
  fill_mask(live, own->data());
  return own->data();
}

void RowFilter::fill_mask(const LiveBits& live, uint32_t* words) const {
  std::fill_n(words, live.word_count(), kind_ == NF_ALL ? ~uint32_t{0} : 0);
  if (kind_ == NF_BITSET) std::copy_n(bits_, std::min(count_, live.word_count()), words);
  if (kind_ == NF_ROWS)
    for_each_row(live, [&](int64_t row) { words[row / kGroupRows] |= uint32_t{1} << (row % kGroupRows); });
}

}  // namespace nearfield
