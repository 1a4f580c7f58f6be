// SPDX-License-Identifier: Apache-2.0
#include "search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "metric.hpp"

namespace nearfield {
namespace {

// Where nothing else is said.
constexpr double kDefaultTarget = 0.95;

// Settings of approximate indexes. A flat index answers exactly, which is at least what they ask for; they
// are checked, so that a request does not become invalid when the index is trained.
Status check_approximation(const Call& call, const nf_search& request) {
  if (request.probes < 0)
    return error(NF_INVALID_ARGUMENT, "%s: probes=%d, it must be at least 0", call.operation(),
                 request.probes);
  if (!(request.target_recall >= 0 && request.target_recall <= 1))
    return error(NF_INVALID_ARGUMENT, "%s: target_recall=%g, it must be at least 0 and at most 1",
                 call.operation(), static_cast<double>(request.target_recall));
  const float oversample = request.max_oversample;
  if (!(oversample == 0 || (oversample >= 1 && std::isfinite(oversample))))
    return error(NF_INVALID_ARGUMENT, "%s: max_oversample=%g, it must be 0 or finite and at least 1",
                 call.operation(), static_cast<double>(oversample));
  return check_optional(call, "probes_of_query", request.probes_of_query);
}

Status read_filters(const Call& call, const nf_search& request, int64_t queries, int64_t rows,
                    std::vector<RowFilter>* to) {
  NF_TRY(check_count(call, "filter_count", request.filter_count, std::numeric_limits<int32_t>::max()));
  NF_TRY(check_array(call, "filters", request.filters, request.filter_count));
  to->resize(static_cast<size_t>(request.filter_count));
  for (int32_t i = 0; i < request.filter_count; ++i) {
    const std::string name = "filters[" + std::to_string(i) + "]";
    NF_TRY(check_pointer(call, name.c_str(), request.filters[i]));
    NF_TRY(RowFilter::read(call, name.c_str(), request.filters[i], rows, &(*to)[static_cast<size_t>(i)]));
  }
  if (request.filter_of_query == nullptr) return {};
  NF_TRY(check_pointer(call, "filter_of_query", request.filter_of_query));
  for (int64_t i = 0; i < queries; ++i)
    if (request.filter_of_query[i] < -1 || request.filter_of_query[i] >= request.filter_count)
      return error(NF_INVALID_ARGUMENT, "%s: filter_of_query[%lld]=%d, it must be at least -1 and below %d",
                   call.operation(), static_cast<long long>(i), request.filter_of_query[i],
                   request.filter_count);
  return {};
}

// How many lists the queries look into.
Status read_probes(const Call& call, const nf_search& request, const Index& index, int64_t queries,
                   Probes* to) {
  const int32_t lists = index.listed()->lists.count();
  if (request.probes > lists)
    return error(NF_INVALID_ARGUMENT, "%s: probes=%d, the index has %d lists", call.operation(),
                 request.probes, lists);
  to->of_query = request.probes_of_query;
  for (int64_t i = 0; to->of_query != nullptr && i < queries; ++i)
    if (to->of_query[i] < 1 || to->of_query[i] > lists)
      return error(NF_INVALID_ARGUMENT, "%s: probes_of_query[%lld]=%d, it must be at least 1 and at most %d",
                   call.operation(), static_cast<long long>(i), to->of_query[i], lists);
  to->probes = request.probes;
  to->target = static_cast<double>(request.target_recall);
  if (to->probes != 0 || to->target != 0) return {};
  to->probes = index.list_options().probes;
  to->target = kDefaultTarget;
  return {};
}

// Rows that a capped search may rescore, 0: all. What keeps its rows in f32 alone leaves none out.
int64_t cap_of(const nf_search& request, int32_t k, const Index& index) {
  if (!index.options().coded || request.max_oversample == 0 || (request.flags & NF_EXACT) != 0) return 0;
  const double cap = std::ceil(static_cast<double>(request.max_oversample) * k);
  return cap < static_cast<double>(index.live().live()) ? static_cast<int64_t>(cap) : 0;
}

}  // namespace

Status read_queries(const Call& call, Context& context, const VectorRules& rules, const nf_matrix* from,
                    int64_t dim, MatrixView* to) {
  NF_TRY(read_matrix(call, "queries", from, to));
  NF_TRY(check_cols(call, "queries", *to, dim));
  std::vector<double>& squared = context.workspace().squared;
  squared.resize(static_cast<size_t>(to->rows));
  return check_vectors(call, "query", 0, rules, *to, squared.data());
}

Status search(const Call& call, Context& context, Index& index, const nf_search* from) {
  nf_search request;
  NF_TRY(read_struct(call, "search", from, &request));
  NF_TRY(check_flags(call, "flags", request.flags, NF_EXACT | NF_WITHIN));
  const bool within = (request.flags & NF_WITHIN) != 0;
  if (index.options().drop_rows && (request.flags & NF_EXACT) != 0)
    return error(NF_FAILED_PRECONDITION,
                 "%s: flags=0x%x (NF_EXACT), an index that keeps codes alone has no exact answers",
                 call.operation(), request.flags);
  if (request.reserved != 0)
    return error(NF_UNIMPLEMENTED, "%s: reserved=%g, it must be 0", call.operation(),
                 static_cast<double>(request.reserved));
  if (within && std::isnan(request.max_distance))
    return error(NF_INVALID_ARGUMENT, "%s: max_distance is NaN, it must be a number", call.operation());
  NF_TRY(check_approximation(call, request));

  QueryBatch batch;
  NF_TRY(read_queries(call, context, index.rules(), request.queries, index.dim(), &batch.queries));
  const int64_t queries = batch.queries.rows;
  Workspace& work = context.workspace();
  batch.squared = work.squared.data();
  std::vector<RowFilter> filters;
  NF_TRY(read_filters(call, request, queries, index.rows(), &filters));
  batch.filters = filters;
  batch.filter_of_query = request.filter_of_query;
  ResultView result;
  NF_TRY(read_result(call, request.result, queries, &result));
  if (queries == 0) return {};

  const auto count = static_cast<int32_t>(std::min<int64_t>(result.k, index.live().live()));
  batch.cap = cap_of(request, result.k, index);
  Probes probes;
  if (index.listed() != nullptr && (request.flags & NF_EXACT) == 0) {
    NF_TRY(read_probes(call, request, index, queries, &probes));
    batch.probes = &probes;
  }
  std::vector<float> recall(result.recall != nullptr ? static_cast<size_t>(queries) : 0, 1.0f);
  std::vector<int32_t> lists(static_cast<size_t>(queries),
                             index.listed() != nullptr ? index.listed()->lists.count() : 0);
  work.hits.resize(static_cast<size_t>(queries * count));
  work.rescored.assign(static_cast<size_t>(queries), 0);
  const bool uncertain = batch.cap != 0 || index.options().drop_rows;
  work.certified.assign(uncertain ? static_cast<size_t>(queries) : 0, 1);
  ScanCount scanned;
  const Found found{
      work.hits.data(), work.rescored.data(), uncertain ? work.certified.data() : nullptr,
      &scanned,         lists.data(),         result.recall != nullptr ? recall.data() : nullptr};
  if (count > 0) NF_TRY(find_hits(call, context, index, batch, count, found));
  // Of what the rows were nothing is certain.
  if (index.options().drop_rows) std::fill(work.certified.begin(), work.certified.end(), uint8_t{0});
  index.count_answers(queries, queries - std::count(work.certified.begin(), work.certified.end(), 0),
                      scanned);
  write_result(result, index.metric(), work.squared.data(), queries, found, count,
               within ? &request.max_distance : nullptr);
  return {};
}

void merge_hits(int64_t queries, const Hit* block, int32_t block_k, int64_t first, Hit* hits, int32_t k) {
  std::vector<Hit> merged(static_cast<size_t>(k));
  for (int64_t query = 0; query < queries; ++query) {
    Hit* const best = hits + query * k;
    const Hit* const added = block + query * block_k;
    auto* end = merged.data();
    int32_t i = 0, j = 0;
    while (end - merged.data() < k) {
      const bool has_old = i < k && best[i].row != kNoRow;
      const bool has_new = j < block_k && added[j].row != kNoRow;
      if (!has_old && !has_new) break;
      const Hit renumbered = has_new ? Hit{added[j].row + first, added[j].rank, 0} : Hit{};
      const bool take_new = has_new && (!has_old || better(renumbered, best[i]));
      *end++ = take_new ? renumbered : best[i];
      ++(take_new ? j : i);
    }
    std::copy(merged.data(), end, best);
  }
}

void write_result(const ResultView& result, int32_t metric, const double* squared, int64_t queries,
                  const Found& found, int32_t count, const float* max_distance) {
  for (int64_t query = 0; query < queries; ++query) {
    int64_t* const rows = result.rows + query * result.stride;
    float* const distances = result.distances + query * result.stride;
    const Hit* const best = found.hits + query * count;
    int32_t kept = 0;
    for (; kept < count && best[kept].row != kNoRow; ++kept) {
      const float distance = final_distance(metric, best[kept].rank, squared[query]);
      if (max_distance != nullptr && distance > *max_distance) break;  // ascending: so are all that follow
      rows[kept] = best[kept].row;
      distances[kept] = distance;
    }
    for (int32_t i = kept; i < result.k; ++i) {
      rows[i] = kNoRow;
      distances[i] = std::numeric_limits<float>::quiet_NaN();
    }
    if (result.count != nullptr) result.count[query] = kept;
    if (result.certified != nullptr)
      result.certified[query] = found.certified != nullptr ? found.certified[query] : uint8_t{1};
    if (result.rescored != nullptr) result.rescored[query] = found.rescored[query];
    if (result.recall != nullptr) result.recall[query] = found.recall != nullptr ? found.recall[query] : 1.0f;
    if (result.lists_scanned != nullptr)
      result.lists_scanned[query] = found.lists != nullptr ? found.lists[query] : 0;
  }
}

}  // namespace nearfield
