// SPDX-License-Identifier: Apache-2.0
// A flat search by codes: whether, how its queries are coded, and answers under a cap.
#include <algorithm>
#include <limits>

#include "flat.hpp"

namespace nearfield::cpu {

namespace {
// Fewer rows are scanned before the queries are coded and a sample is taken.
constexpr int64_t kCodedRows = 4096;
// With this many hits or more for the rows there are, their limits leave too much of a group alive.
constexpr int64_t kRowsPerHit = 32;
// Level by level a query costs by the share s of the codes that it reads, by the product of codes the same
// whatever they are like, after the codes have been read once for all: in ms of one core at 1M x 128 some 1.1
// + 5.2 s a query, and 11 + 1.5 a query (Zen 4).
bool levels_pay(int64_t queries, double share) {
  return static_cast<double>(queries) * (1.1 + 5.2 * share) < 11 + 1.5 * static_cast<double>(queries);
}
// Beyond, the product is better even where nothing is read.
constexpr int64_t kMostLevelQueries = 24;
}  // namespace

void FlatSearch::choose_codes() {
  const StoreOptions& options = store_.options();
  if (!options.coded) return;
  // Rows that must be decoded first are never few.
  const bool many = store_.rows() >= kCodedRows || !store_.has_rows();
  const bool pays = state_.codes_always || (many && store_.rows() / kRowsPerHit >= plan_.k);
  if (!pays && plan_.cap == 0) return;
  for (const Slab& slab : store_.slabs())
    if (slab.first < store_.rows() &&
        std::find(bases_.begin(), bases_.end(), slab.codes.basis) == bases_.end())
      bases_.push_back(slab.codes.basis);
  may_lists_ = plan_.cap == 0 && plan_.runs != nullptr && !state_.query_major;
  may_levels_ = plan_.cap != 0 || (plan_.runs != nullptr && !may_lists_) ||
                (plan_.runs == nullptr && plan_.batch <= kMostLevelQueries &&
                 levels_pay(plan_.batch, store_.level_share()));
  may_coded_product_ = plan_.runs == nullptr && !may_levels_ &&
                       (state_.codes->product_pays || state_.codes_always || !store_.has_rows());
}

Status FlatSearch::code_queries() {
  std::vector<CodedQueries>& coded = state_.workspace.coded;
  coded.resize(bases_.size());
  const int32_t terms = part_.levels ? 2 : 1;
  const int32_t metric = store_.options().metric;
  for (size_t b = 0; b < bases_.size(); ++b) coded[b].reset(metric, bases_[b], part_.queries);
  // At 1,536 dimensions a query is half a millisecond of reading axes, which several share.
  const int64_t share = std::clamp<int64_t>(part_.queries / workers_, 1, kRotatedAtOnce);
  std::atomic<int64_t> ticket{0};
  const int32_t workers = part_.queries < 4 ? 1 : workers_;
  NF_TRY(state_.pool->run(workers, [&](int32_t) -> Status {
    for (int64_t i = ticket.fetch_add(share); i < part_.queries; i = ticket.fetch_add(share)) {
      if (state_.pool->stopping()) return {};
      NF_TRY(call_.poll());
      const auto count = static_cast<int32_t>(std::min(share, part_.queries - i));
      for (CodedQueries& queries : coded)
        queries.code(i, count, part_.query(i), plan_.query_stride, terms, *state_.codes);
    }
    return {};
  }));
  if (part_.coded_product)
    for (CodedQueries& queries : coded) queries.copy_into_panels(part_.panels, state_.codes->packed_dims);
  return {};
}

Status FlatSearch::collect_capped() {
  const int64_t floats = chunks_ * kChunkFloats;
  const double products = static_cast<double>(part_.queries * plan_.cap) *
                          static_cast<double>(store_.has_rows() ? floats : floats * floats);
  std::atomic<int64_t> ticket{0};
  return state_.pool->run(
      products < static_cast<double>(kParallelProducts) ? 1 : workers_, [&](int32_t worker) -> Status {
        std::vector<Hit> bounds;
        for (int64_t i = ticket.fetch_add(1); i < part_.queries; i = ticket.fetch_add(1)) {
          if (state_.pool->stopping()) return {};
          NF_TRY(call_.poll());
          bounds.clear();
          for (int32_t other = 0; other < workers_; ++other) {
            const std::span<const Hit> hits = found(other, i).queue.hits();
            bounds.insert(bounds.end(), hits.begin(), hits.end());
          }
          NF_TRY(answer_capped(i, &bounds, state_.workspace.workers[static_cast<size_t>(worker)]));
        }
        return {};
      });
}

Status FlatSearch::answer_capped(int64_t query, std::vector<Hit>* bounds, WorkerSpace& space) {
  const auto better_bound = [](const Hit& a, const Hit& b) { return better(a, b); };
  const auto have = static_cast<int64_t>(bounds->size());
  const int64_t kept = std::min(plan_.cap, have);
  // The first row that is left out, behind those that are rescored.
  std::partial_sort(bounds->begin(), bounds->begin() + std::min(have, plan_.cap + 1), bounds->end(),
                    better_bound);
  const float next = have > plan_.cap ? (*bounds)[static_cast<size_t>(plan_.cap)].rank : 0;

  const std::vector<const float*> queries(static_cast<size_t>(kept), part_.query(query));
  std::vector<int64_t> rows(static_cast<size_t>(kept));
  std::vector<float> ranks(static_cast<size_t>(kept));
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i] = (*bounds)[i].row;
    if (plan_.place_of_number != nullptr) rows[i] = plan_.place_of_number[rows[i]];
  }
  NF_TRY(store_.rank_pairs(queries.data(), rows.data(), kept, ranks.data(), space, call_));
  bounds->resize(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) (*bounds)[i].rank = ranks[i];
  const int64_t number = part_.first + query;
  Hit* const hits = plan_.hits + number * plan_.k;
  merge(bounds, plan_.k, hits);
  if (plan_.rescored != nullptr) plan_.rescored[number] = static_cast<int32_t>(kept);
  if (plan_.certified == nullptr) return {};
  bool certified = true;
  if (have > plan_.cap)
    for (const CodedQueries& coded : state_.workspace.coded)
      certified =
          certified && coded.basis().bound().excludes(coded.query(query), next, hits[plan_.k - 1].rank);
  plan_.certified[number] = certified ? 1 : 0;
  return {};
}

}  // namespace nearfield::cpu
