// SPDX-License-Identifier: Apache-2.0
// Queries that a form of search leaves to another one: their candidates found no room, or they are no case of
// its bounds.
#pragma once

#include <vector>

#include "scan.hpp"
#include "subset.hpp"

namespace nearfield::gpu {

// Of the queries [first, first + count), by the sums that the kernels count: what was rescored, and which
// were cut short.
inline void read_sums(const uint32_t* sums, int64_t first, int64_t count, int32_t* rescored,
                      std::vector<int64_t>* cut_short) {
  for (int64_t q = 0; q < count; ++q) {
    rescored[first + q] = static_cast<int32_t>(sums[q] & ~NEARFIELD_CUT_SHORT);
    if ((sums[q] & NEARFIELD_CUT_SHORT) != 0) cut_short->push_back(first + q);
  }
}

// These queries of the plan by another form. The outputs are not the plan's, those of the caller, who is
// given nothing before all of it is known.
inline Status search_others(Scan* scan, const std::vector<int64_t>& queries, Hit* hits, int32_t* rescored,
                            Status (*form)(Scan*, Hit*)) {
  if (queries.empty()) return {};
  SearchPlan found = scan->plan();
  found.hits = hits;
  found.rescored = rescored;
  return search_subset(found, queries, [&](const SearchPlan& some) {
    Scan others(scan->store(), some, scan->call());
    return form(&others, some.hits);
  });
}

}  // namespace nearfield::gpu
