// SPDX-License-Identifier: Apache-2.0
// Which form answers a search.
#include <algorithm>

#include "listed.hpp"
#include "run_items.hpp"

namespace nearfield::gpu {
namespace {

// What Path::kMatrix pretends a batch to be.
constexpr int64_t kManyQueries = 1 << 20;

// All groups, hits by their places. rescored: zeros on entry.
Status search_all(GpuStore& store, const SearchPlan& plan, const Call& call) {
  Scan scan(store, plan, call);
  const Context& context = scan.context();
  const Path path = context.path();
  MatrixShape shape;
  if (path != Path::kDirect && path != Path::kCodes)
    shape = context.queue().matrix_shape(scan.metric(), scan.dim(),
                                         path == Path::kMatrix ? kManyQueries : plan.batch, plan.k);
  if (codes_pay(scan)) return coded_search(&scan, plan.hits, plan.rescored, plan.scanned);
  if (const CodedProductShape tf32 = tf32_shape(scan); tf32.query_tile != 0)
    return tf32_search(&scan, tf32, plan.hits, plan.rescored);
  if (plan.k <= context.limits().most_list_k && shape.query_tile != 0 && matrix_fits(scan, shape))
    return matrix_search(&scan, shape, plan.hits, plan.rescored);
  return rows_search(&scan, plan.hits);
}

// Runs of groups, hits by their places.
Status search_runs(GpuStore& store, const SearchPlan& plan, const Call& call) {
  Scan scan(store, plan, call);
  if (!scan.has_rows() || plan.k > scan.context().limits().most_list_k)
    return search_masked(plan, store.rows(),
                         [&](const SearchPlan& some) { return search_all(store, some, call); });
  if (run_codes_pay(scan)) return coded_runs_search(&scan, plan.hits, plan.rescored, plan.scanned);
  return row_runs_search(&scan, plan.hits);
}

Status search_any(GpuStore& store, const SearchPlan& plan, const Call& call) {
  const int64_t rows = store.rows();
  if (plan.cap != 0 && store.basis() != nullptr)
    return search_masked(plan, rows, [&](const SearchPlan& some) {
      Scan scan(store, some, call);
      return capped_search(&scan, some.hits, some.rescored, some.certified, some.scanned);
    });
  return search_numbered(plan, rows, [&](const SearchPlan& by_place) {
    return by_place.run_offsets != nullptr ? search_runs(store, by_place, call)
                                           : search_all(store, by_place, call);
  });
}

}  // namespace

Status GpuStore::search(const SearchPlan& plan, const Call& call) {
  Queue& queue = context_->queue();
  NF_TRY(queue.health());
  const Drain drain(queue);
  // Nothing is given out before all of it is known.
  std::vector<Hit> hits(static_cast<size_t>(plan.batch) * static_cast<size_t>(plan.k));
  std::vector<int32_t> rescored(static_cast<size_t>(plan.batch));
  std::vector<uint8_t> certified(static_cast<size_t>(plan.batch), 1);
  ScanCount scanned;
  SearchPlan found = plan;
  found.hits = hits.data();
  found.rescored = rescored.data();
  found.certified = certified.data();
  found.scanned = &scanned;
  NF_TRY(search_any(*this, found, call));
  std::copy(hits.begin(), hits.end(), plan.hits);
  if (plan.rescored != nullptr) std::copy(rescored.begin(), rescored.end(), plan.rescored);
  if (plan.certified != nullptr) std::copy(certified.begin(), certified.end(), plan.certified);
  if (plan.scanned != nullptr) {
    plan.scanned->read += scanned.read;
    plan.scanned->whole += scanned.whole;
  }
  return {};
}

}  // namespace nearfield::gpu
