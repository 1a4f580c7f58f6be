// SPDX-License-Identifier: Apache-2.0
// The data of a case and the truth about it, shared by all backends that run the case.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "case.hpp"
#include "data.hpp"
#include "oracle.hpp"
#include "results.hpp"

namespace nearfield::test {

// Which rows a query may return; empty: all.
using Keep = std::function<bool(int64_t query, int64_t row)>;

class Problem {
 public:
  Problem(const Case& c, uint64_t seed);
  // Over given vectors: for indexes that change.
  Problem(int32_t metric, Vectors data, Vectors queries);

  int32_t metric() const { return metric_; }
  const Vectors& data() const { return data_; }
  const Vectors& queries() const { return queries_; }
  uint64_t seed() const { return seed_; }  // of the case: for what a test draws itself

  // All pairs are computed at the first question.
  const oracle::Distance& truth(int64_t query, int64_t row) const;
  // One pair alone, for problems too large for all pairs.
  oracle::Distance pair(int64_t query, int64_t row) const;

  // Throws unless the results are a right answer for k: rows unique, in range and allowed; each distance
  // within the bound of the true distance of that row; ordered; complete; counted.
  void check_ranking(const Results& results, const Keep& keep = {}) const;
  // Throws when a call changed the vectors it was given.
  void check_inputs_unchanged() const;

 private:
  void prepare();
  void check_query(const Results& results, int64_t query, const Keep& keep) const;
  void check_order(const Results& results, int64_t query) const;
  void check_complete(const Results& results, int64_t query, const Keep& keep) const;

  int32_t metric_;
  uint64_t seed_ = 0;
  Vectors data_;
  Vectors queries_;
  uint64_t data_sum_ = 0;
  uint64_t query_sum_ = 0;
  std::vector<oracle::Vector> prepared_data_;
  std::vector<oracle::Vector> prepared_queries_;
  mutable std::vector<oracle::Distance> truth_;
};

}  // namespace nearfield::test
