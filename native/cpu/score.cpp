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
  const auto kernel = state_->kernels->row_list[options_.metric - 1];
  // The caller's ranks are written only once all are known.
  std::vector<float> ranks(static_cast<size_t>(total));
  std::atomic<int64_t> ticket{0};
  const auto work = [&](int32_t) -> Status {
    const float* at[kShare];
    float side[kShare];
    for (int64_t from = ticket.fetch_add(kShare); from < total; from = ticket.fetch_add(kShare)) {
      if (state_->pool->stopping()) return {};
      NF_TRY(call.poll());
      const int64_t end = std::min(from + kShare, total);
      for (int64_t i = from; i < end; ++i) at[i - from] = row(plan.rows[i], &side[i - from]);
      // The share may cut across queries.
      int64_t query = std::upper_bound(plan.offsets, plan.offsets + plan.batch + 1, from) - plan.offsets - 1;
      for (int64_t i = from; i < end; ++query) {
        const int64_t stop = std::min(end, plan.offsets[query + 1]);
        if (stop == i) continue;
        kernel({plan.queries + query * plan.query_stride, chunks(), at + (i - from), side + (i - from),
                stop - i, ranks.data() + i});
        i = stop;
      }
    }
    return {};
  };
  const int32_t workers = total <= 4 * kShare ? 1 : state_->pool->threads();
  NF_TRY(state_->pool->run(workers, work));
  std::copy(ranks.begin(), ranks.end(), plan.ranks);
  return {};
}

}  // namespace nearfield::cpu
