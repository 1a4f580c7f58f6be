// SPDX-License-Identifier: Apache-2.0
// Searches of rows that lie in lists: runs of groups for each query, numbers for places (SearchPlan).
#pragma once

#include <functional>

#include "scan.hpp"

namespace nearfield::gpu {

using PlanSearch = std::function<Status(const SearchPlan&)>;

// `search` names hits by their places, which order equal ranks in the kernels. Answers with numbers: where
// more rows may have the k-th rank than were found, as many are asked for as it takes to know them all.
// Without numbers `search` itself.
Status search_numbered(const SearchPlan& plan, int64_t rows, const PlanSearch& search);

// For a search that goes through whole slabs: runs become masks. Without runs `search` itself.
Status search_masked(const SearchPlan& plan, int64_t rows, const PlanSearch& search);

}  // namespace nearfield::gpu
