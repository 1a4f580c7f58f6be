// SPDX-License-Identifier: Apache-2.0
// Canonical ranks of chosen rows.
#include <algorithm>
#include <atomic>

#include "store.hpp"

namespace nearfield::cpu {

namespace {
// Rows per share: some 10 us at 128 dimensions, and the pointers stay in L1.
constexpr int64_t kShare = 256;
}  // namespace

Status CpuStore::score(const ScorePlan& plan, const Call& call) {
  NF_TRY(call.poll());
  const int64_t total = plan.offsets[plan.batch];
  // The caller's ranks are written only once all are known.
  std::vector<float> ranks(static_cast<size_t>(total));
  std::atomic<int64_t> ticket{0};
  const int32_t workers = total <= 4 * kShare ? 1 : state_->pool->threads();
  fit_decoding(workers);
  const auto work = [&](int32_t worker) -> Status {
    const float* queries[kShare];
    for (int64_t from = ticket.fetch_add(kShare); from < total; from = ticket.fetch_add(kShare)) {
      if (state_->pool->stopping()) return {};
      NF_TRY(call.poll());
      const int64_t end = std::min(from + kShare, total);
      // The share may cut across queries, and some may have no rows.
      int64_t query = std::upper_bound(plan.offsets, plan.offsets + plan.batch + 1, from) - plan.offsets - 1;
      for (int64_t i = from; i < end; ++i) {
        while (plan.offsets[query + 1] <= i) ++query;
        queries[i - from] = plan.queries + query * plan.query_stride;
      }
      NF_TRY(rank_pairs(queries, plan.rows + from, end - from, ranks.data() + from,
                        state_->workspace.workers[static_cast<size_t>(worker)], call));
    }
    return {};
  };
  NF_TRY(state_->pool->run(workers, work));
  std::copy(ranks.begin(), ranks.end(), plan.ranks);
  if (plan.errors == nullptr) return {};
  for (int64_t i = 0; i < total; ++i) {
    const SlabMap::Place place = slabs_.place(plan.rows[i]);
    plan.errors[i] = slabs_[place.slab].errors[place.row];
  }
  return {};
}

}  // namespace nearfield::cpu
