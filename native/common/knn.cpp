// SPDX-License-Identifier: Apache-2.0
// Stateless knn: blocks of the dataset pass through a temporary index, so that the device holds one block at
// a time. A rank depends on the query and the row alone, so the answer has the bits of an index search.
#include <algorithm>

#include "metric.hpp"
#include "search.hpp"

namespace nearfield {
namespace {

// Vector bytes of one block: the binding that every WebGPU adapter grants, and large enough that the copy,
// not the set-up, is what a block costs.
constexpr uint64_t kBlockBytes = uint64_t{128} << 20;

int64_t block_rows(const Context& context, int64_t dim) {
  uint64_t bytes = kBlockBytes;
  // A quarter leaves room for the indexes of the context.
  if (context.options().memory_limit != 0) bytes = std::min(bytes, context.options().memory_limit / 4);
  const uint64_t group_bytes = static_cast<uint64_t>(group_floats(dim)) * sizeof(float);
  return static_cast<int64_t>(std::max<uint64_t>(1, bytes / group_bytes)) * kGroupRows;
}

// Merges the block's hits, numbered from `first`, into those of the blocks before it.
void merge(int64_t queries, const Hit* block, int32_t block_k, int64_t first, std::vector<Hit>* hits,
           int32_t k) {
  std::vector<Hit> merged(static_cast<size_t>(k));
  for (int64_t query = 0; query < queries; ++query) {
    Hit* const best = hits->data() + query * k;
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

}  // namespace

Status knn(const Call& call, Context& context, const nf_knn* from) {
  nf_knn request;
  NF_TRY(read_struct(call, "knn", from, &request));
  NF_TRY(context.check_served(call, request.metric));
  const VectorRules rules{request.metric, kPoincareDefaultMaxNorm};
  MatrixView dataset;
  NF_TRY(read_matrix(call, "dataset", request.dataset, &dataset));
  QueryBatch batch;
  NF_TRY(read_queries(call, context, rules, request.queries, dataset.cols, &batch.queries));
  const int64_t queries = batch.queries.rows;
  RowFilter filter;
  NF_TRY(RowFilter::read(call, "filter", request.filter, dataset.rows, &filter));
  ResultView result;
  NF_TRY(read_result(call, request.result, queries, &result));

  Workspace& work = context.workspace();
  batch.squared = work.squared.data();
  const auto k = static_cast<int32_t>(std::min<int64_t>(result.k, dataset.rows));
  work.hits.assign(static_cast<size_t>(queries * k), Hit{});
  work.rescored.assign(static_cast<size_t>(queries), 0);
  std::vector<int32_t> rescored(work.rescored.size());
  std::vector<Hit> hits;
  const int64_t block = block_rows(context, dataset.cols);
  for (int64_t first = 0; first < dataset.rows; first += block) {
    const int64_t rows = std::min(block, dataset.rows - first);
    StoreOptions options;
    options.metric = request.metric;
    options.dim = static_cast<int32_t>(dataset.cols);
    options.capacity = rows;
    std::unique_ptr<Index> index;
    NF_TRY(Index::create(call, context, options, rules, &index));
    NF_TRY(index->add(call, dataset.slice(first, rows), "dataset row", first));
    if (queries == 0) continue;  // the dataset is still checked

    const RowFilter part = filter.from_row(first);
    batch.filters = part.keeps_all() ? std::span<const RowFilter>() : std::span<const RowFilter>(&part, 1);
    const auto block_k = static_cast<int32_t>(std::min<int64_t>(k, rows));
    hits.resize(static_cast<size_t>(queries * block_k));
    NF_TRY(find_hits(call, context, *index, batch, block_k, hits.data(), rescored.data()));
    if (rows == dataset.rows) {
      work.hits.swap(hits);
    } else {
      merge(queries, hits.data(), block_k, first, &work.hits, k);
    }
    for (size_t i = 0; i < rescored.size(); ++i) work.rescored[i] += rescored[i];
  }
  write_result(result, request.metric, work.squared.data(), queries, work.hits.data(), k,
               work.rescored.data(), nullptr);
  return {};
}

}  // namespace nearfield
