// SPDX-License-Identifier: Apache-2.0
#include "problem.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "check.hpp"
#include "random.hpp"

namespace nearfield::test {
namespace {

long long show(int64_t value) { return static_cast<long long>(value); }

}  // namespace

Problem::Problem(const Case& c, uint64_t seed)
    : metric_(c.metric),
      seed_(hash(c.name(), seed)),
      data_(c.rows, c.dim, c.padded),
      queries_(c.batch, c.dim, c.padded) {
  generate(c.data, c.metric, seed_, seed_ + 1, &data_);
  generate(c.data, c.metric, seed_, seed_ + 2, &queries_);
  // Every third query is a row: its own distance is the smallest there is.
  for (int64_t q = 1; q < c.batch && c.rows > 0; q += 3) queries_.set_row(q, data_.row(q * 7 % c.rows));
  prepare();
}

Problem::Problem(int32_t metric, Vectors data, Vectors queries)
    : metric_(metric), data_(std::move(data)), queries_(std::move(queries)) {
  prepare();
}

void Problem::prepare() {
  for (int64_t i = 0; i < data_.rows(); ++i)
    prepared_data_.push_back(oracle::prepare(data_.row(i), data_.dim()));
  for (int64_t i = 0; i < queries_.rows(); ++i)
    prepared_queries_.push_back(oracle::prepare(queries_.row(i), queries_.dim()));
  data_sum_ = data_.checksum();
  query_sum_ = queries_.checksum();
}

oracle::Distance Problem::pair(int64_t query, int64_t row) const {
  return oracle::distance(metric_, prepared_queries_[static_cast<size_t>(query)],
                          prepared_data_[static_cast<size_t>(row)]);
}

const oracle::Distance& Problem::truth(int64_t query, int64_t row) const {
  if (truth_.empty()) {
    truth_.reserve(static_cast<size_t>(queries_.rows() * data_.rows()));
    for (int64_t q = 0; q < queries_.rows(); ++q)
      for (int64_t r = 0; r < data_.rows(); ++r) truth_.push_back(pair(q, r));
  }
  return truth_[static_cast<size_t>(query * data_.rows() + row)];
}

void Problem::check_inputs_unchanged() const {
  check(data_.checksum() == data_sum_, "a call changed the rows it was given");
  check(queries_.checksum() == query_sum_, "a call changed the queries it was given");
}

void Problem::check_ranking(const Results& results, const Keep& keep) const {
  for (int64_t q = 0; q < results.batch(); ++q) {
    check_query(results, q, keep);
    check_order(results, q);
    check_complete(results, q, keep);
  }
  check_inputs_unchanged();
}

void Problem::check_query(const Results& results, int64_t q, const Keep& keep) const {
  int64_t allowed = 0;
  for (int64_t row = 0; row < data_.rows(); ++row) allowed += !keep || keep(q, row);
  const int64_t wanted = std::min(results.k(), allowed);
  check(results.count(q) == wanted, "query %lld: %d results, %lld of %lld rows are allowed and k=%lld",
        show(q), results.count(q), show(allowed), show(data_.rows()), show(results.k()));
  std::set<int64_t> seen;
  for (int64_t i = 0; i < wanted; ++i) {
    const int64_t row = results.row(q, i);
    check(row >= 0 && row < data_.rows(), "query %lld: result %lld is row %lld of %lld", show(q), show(i),
          show(row), show(data_.rows()));
    check(!keep || keep(q, row), "query %lld: result %lld is row %lld, which is deleted or filtered out",
          show(q), show(i), show(row));
    check(seen.insert(row).second, "query %lld: row %lld is returned twice", show(q), show(row));
    const oracle::Distance& truth = this->truth(q, row);
    const double distance = results.distance(q, i);
    // Negated, so that NaN fails.
    check(!!(std::fabs(distance - truth.value) <= truth.bound),
          "query %lld: row %lld is at %.9g, its true distance is %.17g, off by %.3g, bound %.3g", show(q),
          show(row), distance, truth.value, std::fabs(distance - truth.value), truth.bound);
    check(distance != 0 || !std::signbit(distance), "query %lld: row %lld is at -0", show(q), show(row));
    // A vector's distance to itself is exactly 0 in the difference forms.
    const bool self = std::equal(queries_.row(q), queries_.row(q) + data_.dim(), data_.row(row));
    check(!self || metric_ == NF_DOT || distance == 0,
          "query %lld: row %lld is the query, at %.9g instead of 0", show(q), show(row), distance);
  }
}

// Distances never decrease; equal distances by lower row. Poincare distances are ordered by the rank that
// they were computed from, and ranks that differ may collapse to one f32 distance: there only equal vectors
// are known to tie.
void Problem::check_order(const Results& results, int64_t q) const {
  for (int64_t i = 1; i < results.count(q); ++i) {
    const float before = results.distance(q, i - 1);
    const float after = results.distance(q, i);
    check(before <= after, "query %lld: result %lld is at %.9g, result %lld at %.9g", show(q), show(i - 1),
          static_cast<double>(before), show(i), static_cast<double>(after));
    const int64_t a = results.row(q, i - 1);
    const int64_t b = results.row(q, i);
    const bool tie = metric_ == NF_POINCARE ? data_.equal_rows(a, b) : before == after;
    check(!tie || a < b, "query %lld: rows %lld and %lld are both at %.9g, the lower must come first",
          show(q), show(a), show(b), static_cast<double>(after));
  }
}

// No allowed row that was left out is better than the worst one returned by more than both bounds; where both
// are exact, not even by its row number; and an equal vector with a lower number comes first.
void Problem::check_complete(const Results& results, int64_t q, const Keep& keep) const {
  const int64_t count = results.count(q);
  if (count == 0) return;
  std::set<int64_t> returned;
  for (int64_t i = 0; i < count; ++i) returned.insert(results.row(q, i));
  const int64_t last = results.row(q, count - 1);
  const oracle::Distance& worst = truth(q, last);
  for (int64_t row = 0; row < data_.rows(); ++row) {
    const oracle::Distance& left_out = truth(q, row);
    const double slack = left_out.bound + worst.bound;
    const bool suspect = left_out.value <= worst.value + slack;  // spares the rest for most rows
    if (!suspect || returned.count(row) != 0 || (keep && !keep(q, row))) continue;
    check(left_out.value + slack >= worst.value,
          "query %lld: row %lld at %.17g is missing, row %lld at %.17g was returned, bounds %.3g", show(q),
          show(row), left_out.value, show(last), worst.value, slack);
    const bool tie = (slack == 0 && left_out.value == worst.value) || data_.equal_rows(row, last);
    check(!tie || row > last, "query %lld: row %lld ties with row %lld at %.17g and is missing", show(q),
          show(row), show(last), worst.value);
  }
}

}  // namespace nearfield::test
