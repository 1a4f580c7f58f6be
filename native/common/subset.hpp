// SPDX-License-Identifier: Apache-2.0
// Some queries of a batch, searched again by another form. What this holds, a copy of their vectors and their
// hits, is the host's, beside the hits of the batch, and not part of a workspace.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "backend.hpp"

namespace nearfield {

// Calls `search` with a plan of the queries of these numbers, and puts its hits in their places among those
// of `whole`. What it rescored is added to theirs.
inline Status search_subset(const SearchPlan& whole, const std::vector<int64_t>& queries,
                            const std::function<Status(const SearchPlan&)>& search) {
  const auto stride = static_cast<size_t>(whole.query_stride), k = static_cast<size_t>(whole.k);
  std::vector<float> vectors(queries.size() * stride);
  std::vector<const uint32_t*> masks;
  std::vector<int64_t> run_offsets{0};
  std::vector<GroupRun> runs;
  for (size_t i = 0; i < queries.size(); ++i) {
    std::copy_n(whole.queries + static_cast<size_t>(queries[i]) * stride, stride,
                vectors.data() + i * stride);
    if (whole.mask_of_query != nullptr) masks.push_back(whole.mask_of_query[queries[i]]);
    if (whole.run_offsets == nullptr) continue;
    const int64_t* const range = whole.run_offsets + queries[i];
    runs.insert(runs.end(), whole.runs + range[0], whole.runs + range[1]);
    run_offsets.push_back(static_cast<int64_t>(runs.size()));
  }
  std::vector<Hit> hits(queries.size() * k);
  std::vector<int32_t> rescored(queries.size());
  std::vector<uint8_t> certified(queries.size(), 1);
  SearchPlan plan = whole;
  plan.queries = vectors.data();
  plan.batch = static_cast<int64_t>(queries.size());
  plan.mask_of_query = masks.empty() ? nullptr : masks.data();
  if (whole.run_offsets != nullptr) {
    plan.run_offsets = run_offsets.data();
    plan.runs = runs.data();
  }
  plan.limits = nullptr;  // no more than a hint
  plan.hits = hits.data();
  plan.rescored = rescored.data();
  plan.certified = certified.data();
  NF_TRY(search(plan));
  for (size_t i = 0; i < queries.size(); ++i) {
    std::copy_n(hits.data() + i * k, k, whole.hits + static_cast<size_t>(queries[i]) * k);
    if (whole.rescored != nullptr) whole.rescored[queries[i]] += rescored[i];
    if (whole.certified != nullptr) whole.certified[queries[i]] = certified[i];
  }
  return {};
}

}  // namespace nearfield
