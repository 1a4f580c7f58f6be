// SPDX-License-Identifier: Apache-2.0
#include "model.hpp"

#include <cstring>
#include <numeric>

#include "check.hpp"

namespace nearfield::test {

int64_t Model::live_rows() const { return std::accumulate(live_.begin(), live_.end(), int64_t{0}); }

void Model::add(const Vectors& rows, bool live) {
  Vectors all(data_.rows() + rows.rows(), data_.dim(), false);
  for (int64_t i = 0; i < data_.rows(); ++i) all.set_row(i, data_.row(i));
  for (int64_t i = 0; i < rows.rows(); ++i) all.set_row(data_.rows() + i, rows.row(i));
  data_ = std::move(all);
  live_.resize(static_cast<size_t>(data_.rows()), live ? 1 : 0);
}

void Model::compact(const std::vector<int64_t>& new_row, const std::vector<uint8_t>& since) {
  check(static_cast<int64_t>(new_row.size()) == rows(), "compact: the new numbers are for other rows");
  int64_t next = 0;
  std::vector<uint8_t> stayed;
  for (int64_t row = 0; row < rows(); ++row) {
    const int64_t to = new_row[static_cast<size_t>(row)];
    if (to == -1) {
      check(!live(row), "compact dropped row %lld, which lives", static_cast<long long>(row));
      continue;
    }
    check(to == next, "compact: row %lld becomes %lld, expected %lld", static_cast<long long>(row),
          static_cast<long long>(to), static_cast<long long>(next));
    check(live(row) || since[static_cast<size_t>(row)] != 0,
          "compact kept row %lld, which was dead before it began", static_cast<long long>(row));
    stayed.push_back(live(row));
    ++next;
  }
  Vectors packed(next, data_.dim(), false);
  for (int64_t row = 0; row < rows(); ++row) {
    const int64_t to = new_row[static_cast<size_t>(row)];
    if (to >= 0) packed.set_row(to, data_.row(row));
  }
  data_ = std::move(packed);
  live_ = std::move(stayed);
}

void Model::check_search(Index& index, const Vectors& queries, int64_t k, const std::vector<uint32_t>* bits,
                         SearchOptions options) const {
  const nf_index_info info = index.info();
  check(info.rows == rows() && info.live_rows == live_rows(),
        "info: %lld rows, %lld live; expected %lld and %lld", static_cast<long long>(info.rows),
        static_cast<long long>(info.live_rows), static_cast<long long>(rows()),
        static_cast<long long>(live_rows()));
  Results results(queries.rows(), k);
  Filters filters;
  if (bits != nullptr) filters.add_bits(*bits);
  options.filters = bits == nullptr ? nullptr : &filters;
  index.search(queries.matrix(), &results, options);
  Problem(metric_, data_, queries).check_ranking(results, [&](int64_t, int64_t row) {
    const auto word = static_cast<size_t>(row / 32);
    const bool kept = bits == nullptr || (word < bits->size() && ((*bits)[word] >> (row % 32) & 1) != 0);
    return live(row) && kept;
  });
}

void Model::check_stored(Index& index) const {
  std::vector<int64_t> all(static_cast<size_t>(rows()));
  std::iota(all.begin(), all.end(), 0);
  const Vectors stored = index.read(all);
  for (int64_t row = 0; row < rows(); ++row) {
    check(std::memcmp(stored.row(row), data_.row(row), static_cast<size_t>(data_.dim()) * sizeof(float)) == 0,
          "row %lld reads other bits than were stored", static_cast<long long>(row));
  }
}

}  // namespace nearfield::test
