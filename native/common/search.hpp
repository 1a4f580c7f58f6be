// SPDX-License-Identifier: Apache-2.0
// Search, scoring and the stateless kernels, in the turn of their context.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "checks.hpp"
#include "context.hpp"
#include "filter.hpp"
#include "index.hpp"

namespace nearfield {

Status search(const Call& call, Context& context, Index& index, const nf_search* request);
Status score(const Call& call, Context& context, Index& index, const nf_score* request);
// One step; *step is as the caller gave it, and written on success. NULL: all at once.
Status knn(const Call& call, Context& context, const nf_knn* request, nf_step* step);
Status kmeans(const Call& call, Context& context, const nf_kmeans* request, nf_step* step);

// The steps they share.

// How many lists queries look into.
struct Probes {
  const int32_t* of_query = nullptr;  // NULL: `probes` for all
  int32_t probes = 0;                 // 0: as many as the target takes
  double target = 0;                  // recall

  int32_t of(int64_t query) const { return of_query != nullptr ? of_query[query] : probes; }
  bool has_target(int64_t query) const { return of(query) == 0; }
};

// Checked queries and the filter of each.
struct QueryBatch {
  MatrixView queries;
  const double* squared = nullptr;           // |q|^2 per query
  std::span<const RowFilter> filters;        // none: every live row
  const int32_t* filter_of_query = nullptr;  // NULL: the first filter, if any, for all; -1: none
  const float* limits = nullptr;             // as in SearchPlan
  int64_t cap = 0;                           // likewise
  const Probes* probes = nullptr;            // NULL: all rows are looked at

  // Index into `filters`, or -1.
  int32_t filter_of(int64_t query) const {
    if (filter_of_query != nullptr) return filter_of_query[query];
    return filters.empty() ? -1 : 0;
  }
};

// Checks the queries and leaves |q|^2 of each in the workspace.
Status read_queries(const Call& call, Context& context, const VectorRules& rules, const nf_matrix* from,
                    int64_t dim, MatrixView* to);

// The queries of these numbers as kernels want them, padded_dim floats apart.
void prepare_queries(int32_t metric, const MatrixView& queries, const double* squared,
                     std::span<const int64_t> numbers, std::vector<float>* to);

// Where the answers of a batch go.
struct Found {
  Hit* hits = nullptr;           // k per query
  int32_t* rescored = nullptr;   // per query
  uint8_t* certified = nullptr;  // per query; NULL where batch.cap is 0: all are
  ScanCount* scanned = nullptr;  // may be NULL: of codes
  int32_t* lists = nullptr;      // may be NULL: per query, lists that were looked into
  float* recall =
      nullptr;  // may be NULL: per query, the share of the true hits that are among these, estimated
};

// The k best live rows of each query by (rank, row) to hits + query * k; unused entries have row kNoRow.
// 1 <= k <= live rows; at least one query.
Status find_hits(const Call& call, Context& context, Index& index, const QueryBatch& batch, int32_t k,
                 const Found& found);

// list_find.cpp: the same of those queries of the batch whose numbers are given, sorted by filter, from their
// lists. Queries that find fewer than k rows go on to further lists.
Status find_in_lists(const Call& call, Context& context, Index& index, const QueryBatch& batch,
                     std::span<const int64_t> numbers, int32_t k, const Found& found);

// Merges hits, `added_k` a query, whose rows count from `first`, into those there are.
void merge_hits(int64_t queries, const Hit* added, int32_t added_k, int64_t first, Hit* hits, int32_t k);

// Hits to the caller's arrays: final distances, the trim of NF_WITHIN (max_distance NULL: none), missing
// entries. `found.hits` holds `count` entries per query, count <= k.
void write_result(const ResultView& result, int32_t metric, const double* squared, int64_t queries,
                  const Found& found, int32_t count, const float* max_distance);

}  // namespace nearfield
