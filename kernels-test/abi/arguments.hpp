// SPDX-License-Identifier: Apache-2.0
// The table of bad arguments; the fuzz test mixes its lines.
#pragma once

#include <vector>

#include "runner.hpp"

namespace nearfield_test {

struct Line {
  Entry entry;
  std::string name;
  Expectation expected;
  Change change;
};

// Wrong values, by entry.
std::vector<Line> value_lines();
// NULL, misaligned, shorter and longer structs, wherever the ABI takes one.
std::vector<Line> struct_lines();

}  // namespace nearfield_test
