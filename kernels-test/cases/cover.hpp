// SPDX-License-Identifier: Apache-2.0
// Covering arrays: few rows in which every value, or every pair of values, of the parameters occurs.
#pragma once

#include <functional>
#include <vector>

namespace nearfield::test {

using Choice = std::vector<int>;  // one value index per parameter
using Allowed = std::function<bool(const Choice&)>;

// `sizes[p]` is the number of values of parameter p. Values and pairs that no allowed choice contains are
// left out. The same arguments give the same rows.
std::vector<Choice> cover_values(const std::vector<int>& sizes, const Allowed& allowed);
std::vector<Choice> cover_pairs(const std::vector<int>& sizes, const Allowed& allowed);

}  // namespace nearfield::test
