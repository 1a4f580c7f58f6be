// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "metric.hpp"
#include "search.hpp"

namespace nearfield {
namespace {

Status check_offsets(const Call& call, const int64_t* offsets, int64_t queries) {
  NF_TRY(check_pointer(call, "offsets", offsets));
  NF_TRY(check_count(call, "offsets[0]", offsets[0], kMaxRows));
  for (int64_t i = 1; i <= queries; ++i)
    if (offsets[i] < offsets[i - 1] || offsets[i] > kMaxRows)
      return error(NF_INVALID_ARGUMENT,
                   "%s: offsets[%lld]=%lld follows %lld, offsets must ascend and be at most %lld",
                   call.operation(), static_cast<long long>(i), static_cast<long long>(offsets[i]),
                   static_cast<long long>(offsets[i - 1]), static_cast<long long>(kMaxRows));
  return {};
}

}  // namespace

Status score(const Call& call, Context& context, Index& index, const nf_score* from) {
  nf_score request;
  NF_TRY(read_struct(call, "score", from, &request));
  NF_TRY(check_flags(call, "flags", request.flags, 0));
  MatrixView queries;
  NF_TRY(read_queries(call, context, index.rules(), request.queries, index.dim(), &queries));
  if (queries.rows == 0) return {};
  NF_TRY(check_offsets(call, request.offsets, queries.rows));
  const int64_t begin = request.offsets[0];
  const int64_t total = request.offsets[queries.rows] - begin;
  NF_TRY(check_array(call, "rows", request.rows, total));
  NF_TRY(check_array(call, "distances", request.distances, total));
  NF_TRY(check_optional(call, "errors", request.errors));

  Workspace& work = context.workspace();
  // Batches of rows and of queries that stay within half of the workspace each.
  const auto half = static_cast<int64_t>(context.workspace_target() / 2);
  const auto most_rows =
      std::max<int64_t>(1, half / static_cast<int64_t>(2 * sizeof(int64_t) + sizeof(float)));
  const auto most_queries =
      std::max<int64_t>(1, half / (padded_dim(index.dim()) * static_cast<int64_t>(sizeof(float))));

  const bool has_errors = request.errors != nullptr && index.options().drop_rows;
  std::vector<float> answers(static_cast<size_t>(total), std::numeric_limits<float>::quiet_NaN());
  std::vector<float> errors(has_errors ? answers.size() : 0, std::numeric_limits<float>::quiet_NaN());
  std::vector<float> of_batch;
  std::vector<int64_t> places, numbers;  // where a batch's ranks go, and its queries
  int64_t query = 0;
  for (int64_t at = begin; query < queries.rows;) {
    NF_TRY(call.poll());
    places.clear();
    numbers.clear();
    work.rows.clear();
    work.offsets.assign(1, 0);
    while (query < queries.rows && static_cast<int64_t>(places.size()) < most_rows &&
           static_cast<int64_t>(numbers.size()) < most_queries) {
      const size_t before = places.size();
      for (; at < request.offsets[query + 1] && static_cast<int64_t>(places.size()) < most_rows; ++at) {
        const int64_t row = request.rows[at];
        if (row < 0 || row >= index.rows() || !index.live().is_live(row)) continue;
        work.rows.push_back(row);
        places.push_back(at - begin);
      }
      if (places.size() > before) {
        numbers.push_back(query);
        work.offsets.push_back(static_cast<int64_t>(places.size()));
      }
      if (at == request.offsets[query + 1]) ++query;
    }
    if (places.empty()) continue;

    prepare_queries(index.metric(), queries, work.squared.data(), numbers, &work.queries);
    work.ranks.resize(places.size());
    ScorePlan plan;
    plan.queries = work.queries.data();
    plan.query_stride = padded_dim(index.dim());
    plan.batch = static_cast<int64_t>(numbers.size());
    plan.offsets = work.offsets.data();
    index.to_places(&work.rows);
    plan.rows = work.rows.data();
    plan.ranks = work.ranks.data();
    of_batch.resize(has_errors ? places.size() : 0);
    if (has_errors) plan.errors = of_batch.data();
    NF_TRY(index.store().score(plan, call));
    for (size_t i = 0; i < numbers.size(); ++i)
      for (auto j = static_cast<size_t>(work.offsets[i]); j < static_cast<size_t>(work.offsets[i + 1]); ++j)
        answers[static_cast<size_t>(places[j])] =
            final_distance(index.metric(), work.ranks[j], work.squared[static_cast<size_t>(numbers[i])]);
    for (size_t i = 0; i < of_batch.size(); ++i) errors[static_cast<size_t>(places[i])] = of_batch[i];
  }
  std::copy(answers.begin(), answers.end(), request.distances + begin);
  if (request.errors == nullptr) return {};
  if (has_errors) {
    std::copy(errors.begin(), errors.end(), request.errors + begin);
    return {};
  }
  // Rows are kept as they were given.
  std::transform(answers.begin(), answers.end(), request.errors + begin,
                 [](float distance) { return std::isnan(distance) ? distance : 0.0f; });
  return {};
}

}  // namespace nearfield
