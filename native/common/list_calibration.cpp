// SPDX-License-Identifier: Apache-2.0
#include "list_calibration.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "metric.hpp"

namespace nearfield {

namespace {
// Hits that a radius is looked up in: the k-th of those in the lists so far.
constexpr int32_t kNearest = 64;
// Queries of a piece: some 10 ms of a scan of 1M rows.
constexpr size_t kPiece = 16;
}  // namespace

ListCalibration::ListCalibration(std::vector<int64_t> rows, int32_t dim) : rows_(std::move(rows)), dim_(dim) {
  for (int32_t of_ball = dim; of_ball > 0; of_ball /= 2) models_.emplace_back(of_ball);
}

Status ListCalibration::advance(const Call& call, Store& store, CoarseQuantizer& coarse, const Lists& lists,
                                RecallModel* to) {
  const std::span<const int64_t> rows =
      std::span<const int64_t>(rows_).subspan(next_, std::min(kPiece, rows_.size() - next_));
  const int32_t dim = dim_;
  const int64_t stride = padded_dim(dim);
  std::vector<int64_t> places;
  for (const int64_t row : rows) places.push_back(lists.place_of(row));
  std::vector<float> queries(rows.size() * static_cast<size_t>(stride));
  NF_TRY(store.read(places, queries.data(), stride, call));
  for (size_t i = 0; i < rows.size(); ++i) {
    float* const query = queries.data() + static_cast<int64_t>(i) * stride;
    prepare_query(coarse.metric(), query, dim, squared_norm(query, dim), query);
  }
  // Hits are places: which of equal neighbours are found is nothing to an estimate.
  SearchPlan plan;
  plan.queries = queries.data();
  plan.query_stride = stride;
  plan.batch = static_cast<int64_t>(rows.size());
  plan.k = static_cast<int32_t>(std::min<int64_t>(kNearest + 1, store.rows()));
  const auto k = static_cast<size_t>(plan.k);
  std::vector<Hit> hits(rows.size() * k);
  plan.hits = hits.data();
  NF_TRY(store.search(plan, call));
  const auto width = static_cast<size_t>(recall_candidates(coarse.count()));
  std::vector<Hit> order(rows.size() * width);
  NF_TRY(coarse.nearest(call, queries.data(), stride, plan.batch, static_cast<int32_t>(width), order.data()));
  for (size_t i = 0; i < rows.size(); ++i)
    measure(coarse, lists, places[i], std::span<const Hit>(hits).subspan(i * k, k),
            std::span<const Hit>(order).subspan(i * width, width));
  next_ += rows.size();
  if (!is_done()) return {};
  for (RecallModel& model : models_) model.finish();
  *to = *std::min_element(models_.begin(), models_.end(),
                          [](const RecallModel& a, const RecallModel& b) { return a.cost() < b.cost(); });
  return {};
}

void ListCalibration::measure(CoarseQuantizer& coarse, const Lists& lists, int64_t place,
                              std::span<const Hit> hits, std::span<const Hit> order) {
  std::vector<size_t> at(static_cast<size_t>(coarse.count()), order.size());
  for (size_t i = 0; i < order.size(); ++i) at[static_cast<size_t>(order[i].row)] = i;
  struct Neighbour {
    size_t list;  // its place in the order
    float rank;
  };
  std::vector<Neighbour> near;
  for (const Hit& hit : hits)
    if (hit.row != kNoRow && hit.row != place)
      near.push_back({at[static_cast<size_t>(lists.list_at(hit.row))], hit.rank});
  if (near.empty()) return;
  const size_t k = std::min(near.size(), static_cast<size_t>(kHits));
  std::vector<double> squared, between, shares;
  if (coarse.has_distances()) coarse.distances(order, &squared, &between);
  // Of each prefix of the lists.
  std::vector<double> recall, radius;
  for (size_t looked = 1; looked <= order.size(); ++looked) {
    size_t found = 0, inside = 0;
    double known = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < near.size(); ++i) {
      if (near[i].list >= looked) continue;
      found += i < k ? 1 : 0;
      if (++inside == k) known = coarse.has_distances() ? coarse.distance(near[i].rank) : 0;
    }
    recall.push_back(static_cast<double>(found) / static_cast<double>(k));
    radius.push_back(known);
  }
  if (!coarse.has_distances()) return models_[0].note(recall, recall);
  std::vector<double> estimate(recall.size());
  for (RecallModel& model : models_) {
    for (size_t looked = 1; looked <= order.size(); ++looked) {
      if (looked == 1 || radius[looked - 1] != radius[looked - 2])
        list_shares(model.caps(), {squared, between}, radius[looked - 1], &shares);
      double sum = 0;
      for (size_t i = 0; i < looked; ++i) sum += shares[i];
      estimate[looked - 1] = std::isfinite(radius[looked - 1]) ? sum : 0;
    }
    model.note(recall, estimate);
  }
}

}  // namespace nearfield
