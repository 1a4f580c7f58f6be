// SPDX-License-Identifier: Apache-2.0
// Outcomes, counted apart, and the support matrix that people see.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "backend.hpp"
#include "case.hpp"

namespace nearfield::test {

enum class Outcome { PASS, FAIL, XFAIL, UNSUPPORTED, ABSENT, SKIP };
constexpr int kOutcomes = 6;

class Matrix {
 public:
  struct Column {
    std::string name;
    std::string device;  // or why it is absent
    bool present;
    bool emulated;
  };
  static Column describe(const Backend& backend);
  // Called once per backend, in the order of the columns.
  void column(const Column& column) { columns_.push_back(column); }
  void record(const Case& c, const std::string& row, Outcome outcome);
  int64_t total(Outcome outcome) const;
  // The matrix, what the columns are, and the counts.
  void print(const std::vector<std::string>& tests) const;

 private:
  struct Cell {
    int64_t counts[kOutcomes] = {};
  };
  std::string show(const std::string& test, int32_t metric, const Column& column) const;

  std::vector<Column> columns_;
  std::map<std::pair<std::string, int32_t>, std::map<std::string, Cell>> cells_;
  int64_t totals_[kOutcomes] = {};
};

}  // namespace nearfield::test
