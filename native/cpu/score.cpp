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
  const auto kernel = state_->kernels->pairs[options_.metric - 1];
  // The caller's ranks are written only once all are known.
  std::vector<float> ranks(static_cast<size_t>(total));
  std::atomic<int64_t> ticket{0};
  const auto work = [&](int32_t) -> Status {
    const float *queries[kShare], *at[kShare];
    float side[kShare];
    for (int64_t from = ticket.fetch_add(kShare); from < total; from = ticket.fetch_add(kShare)) {
      if (state_->pool->stopping()) return {};
      NF_TRY(call.poll());
      const int64_t end = std::min(from + kShare, total);
      // The share may cut across queries, and some may have no rows.
      int64_t query = std::upper_bound(plan.offsets, plan.offsets + plan.batch + 1, from) - plan.offsets - 1;
      for (int64_t i = from; i < end; ++i) {
        while (plan.offsets[query + 1] <= i) ++query;
        queries[i - from] = plan.queries + query * plan.query_stride;
        at[i - from] = row(plan.rows[i], &side[i - from]);
      }
      kernel({queries, at, side, end - from, chunks(), ranks.data() + from});
    }
    return {};
  };
  const int32_t workers = total <= 4 * kShare ? 1 : state_->pool->threads();
  NF_TRY(state_->pool->run(workers, work));
  std::copy(ranks.begin(), ranks.end(), plan.ranks);
  return {};
}

}  // namespace nearfield::cpu
