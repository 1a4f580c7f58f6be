// SPDX-License-Identifier: Apache-2.0
#include "centroids.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "metric.hpp"

namespace nearfield {

float Centroids::side(const std::vector<float>& rows, int64_t i) const {
  return row_side(metric_, squared_norm(rows.data() + i * dim_, dim_));
}

Status Centroids::create(const Call& call, Context& context, int32_t metric, const std::vector<float>& mean,
                         std::vector<float> rows, int64_t queries, std::unique_ptr<Centroids>* out) {
  const auto dim = static_cast<int64_t>(mean.size());
  std::unique_ptr<Centroids> centroids(new Centroids(metric, dim, std::move(rows)));
  const int64_t count = centroids->count();
  StoreOptions options;
  options.metric = metric;
  options.dim = static_cast<int32_t>(dim);
  options.capacity = count;
  options.coded = context.device().codes_pay(metric, queries);
  NF_TRY(context.device().create_store(options, &centroids->store_, call));
  if (options.coded) centroids->store_->set_basis(centred_basis(mean));
  std::vector<float> sides(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) sides[static_cast<size_t>(i)] = centroids->side(centroids->rows_, i);
  NF_TRY(centroids->store_->append({centroids->rows_.data(), count, dim, sides.data(), true}, call));
  *out = std::move(centroids);
  return {};
}

Status Centroids::replace(const Call& call, std::vector<float> rows) {
  const auto dim = static_cast<size_t>(dim_);
  std::vector<int64_t> changed;
  std::vector<float> packed, sides;
  for (int64_t i = 0; i < count(); ++i) {
    const float* const now = rows.data() + i * dim_;
    if (std::memcmp(now, rows_.data() + i * dim_, dim * sizeof(float)) == 0) continue;
    changed.push_back(i);
    packed.insert(packed.end(), now, now + dim_);
    sides.push_back(side(rows, i));
  }
  if (changed.empty()) return {};
  NF_TRY(store_->write(
      changed, {packed.data(), static_cast<int64_t>(changed.size()), dim_, sides.data(), true}, call));
  rows_ = std::move(rows);
  return {};
}

Status Centroids::nearest(const Call& call, const float* rows, int64_t count, const float* limits, Hit* hits,
                          int64_t number) {
  SearchPlan plan;
  plan.queries = rows;
  plan.query_stride = padded_dim(dim_);
  plan.batch = count;
  plan.k = 1;
  plan.limits = limits;
  plan.hits = hits;
  if (number >= 0) {
    plan.kept = &kept_;
    plan.kept_first = number;
  }
  return store_->search(plan, call);
}

Status Centroids::ranks(const Call& call, const float* rows, int64_t count, const int32_t* numbers,
                        float* ranks) {
  offsets_.resize(static_cast<size_t>(count) + 1);
  std::iota(offsets_.begin(), offsets_.end(), int64_t{0});
  numbers_.assign(numbers, numbers + count);
  ScorePlan plan;
  plan.queries = rows;
  plan.query_stride = padded_dim(dim_);
  plan.batch = count;
  plan.offsets = offsets_.data();
  plan.rows = numbers_.data();
  plan.ranks = ranks;
  return store_->score(plan, call);
}

}  // namespace nearfield
