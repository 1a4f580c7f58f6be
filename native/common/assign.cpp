// SPDX-License-Identifier: Apache-2.0
// nf_assign: the nearest centroids of each row, which is the exact search of an index of the centroids with
// the rows for queries.
#include <algorithm>
#include <cmath>
#include <vector>

#include "entries.hpp"
#include "metric.hpp"
#include "search.hpp"

namespace nearfield {
namespace {

struct AssignRequest {
  int32_t metric = 0;
  MatrixView data, centroids;
  ResultView nearest;
};

Status read_request(const Call& call, const Context& context, const nf_assign* from, AssignRequest* to) {
  nf_assign request;
  NF_TRY(read_struct(call, "request", from, &request));
  NF_TRY(context.check_served(call, request.metric));
  to->metric = request.metric;
  NF_TRY(read_matrix(call, "data", request.data, &to->data));
  NF_TRY(read_matrix(call, "centroids", request.centroids, &to->centroids));
  NF_TRY(check_cols(call, "data", to->data, to->centroids.cols));
  return read_result(call, request.nearest, to->data.rows, &to->nearest);
}

// Of the centroids, as rows are coded; of what they may not be, which is refused afterwards, anything finite.
std::vector<float> mean_of(const AssignRequest& request) {
  const MatrixView& rows = request.centroids;
  std::vector<double> sum(static_cast<size_t>(rows.cols), 0.0);
  for (int64_t i = 0; i < rows.rows; ++i) {
    const double squared = squared_norm(rows.row(i), rows.cols);
    const double scale = request.metric == NF_COSINE ? 1 / std::sqrt(squared) : 1;
    if (!std::isfinite(squared) || !std::isfinite(scale)) continue;
    for (size_t j = 0; j < sum.size(); ++j) sum[j] += scale * static_cast<double>(rows.row(i)[j]);
  }
  std::vector<float> mean;
  for (const double x : sum)
    mean.push_back(static_cast<float>(x / static_cast<double>(std::max<int64_t>(1, rows.rows))));
  return mean;
}

// Nothing is written to the caller before all of it is known.
Status assign(const Call& call, Context& context, const AssignRequest& request) {
  const VectorRules rules{request.metric, kPoincareDefaultMaxNorm};
  const int64_t rows = request.data.rows;
  std::vector<double> squared(static_cast<size_t>(rows));
  NF_TRY(check_vectors(call, "data row", 0, rules, request.data, squared.data()));
  StoreOptions options;
  options.metric = request.metric;
  options.dim = static_cast<int32_t>(request.data.cols);
  options.capacity = request.centroids.rows;
  options.coded = context.device().codes_pay(request.metric, rows);
  std::unique_ptr<Index> index;
  NF_TRY(Index::create(call, context, options, rules, {}, &index));
  if (options.coded) index->store().set_basis(centred_basis(mean_of(request)));
  NF_TRY(index->add(call, request.centroids, true, "centroid", 0));

  const auto k = static_cast<int32_t>(std::min<int64_t>(request.nearest.k, request.centroids.rows));
  std::vector<Hit> hits(static_cast<size_t>(rows) * static_cast<size_t>(k));
  std::vector<int32_t> rescored(static_cast<size_t>(rows));
  QueryBatch batch;
  batch.queries = request.data;
  batch.squared = squared.data();
  const Found found{hits.data(), rescored.data()};
  if (rows > 0 && k > 0) NF_TRY(find_hits(call, context, *index, batch, k, found));
  write_result(request.nearest, request.metric, squared.data(), rows, found, k, nullptr);
  return {};
}

}  // namespace

nf_status assign_entry(nf_context* handle, const nf_assign* from, nf_call* call) {
  return on_context("assign", handle, call, [&](const Call& c, Context& context) -> Status {
    AssignRequest request;
    NF_TRY(read_request(c, context, from, &request));
    return assign(c, context, request);
  });
}

}  // namespace nearfield
