// SPDX-License-Identifier: Apache-2.0
#include "list_train.hpp"

#include <algorithm>
#include <cmath>

#include "index.hpp"
#include "metric.hpp"
#include "random.hpp"

namespace nearfield {

namespace {
// 4 MiB of vectors: about 1 ms on a host.
constexpr int64_t kBlockFloats = int64_t{1} << 20;
// Products of a piece of clustering, 1 to 3 ms of a core by floats.
constexpr int64_t kPieceProducts = int64_t{1} << 26;

// As many lists as rows in a list: a search then spends as long on the centroids of all lists as on the rows
// of one.
int64_t lists_for(int64_t rows) {
  return std::clamp(std::llround(std::sqrt(static_cast<double>(rows))), 1ll,
                    static_cast<long long>(kMostLists));
}

// On the ball clusters have Euclidean means (docs/numerics.md).
int32_t clustered_metric(int32_t metric) { return metric == NF_POINCARE ? NF_L2SQ : clustered_as(metric); }
}  // namespace

Points points_for(int32_t metric, int64_t dim, int64_t count) {
  Points points;
  points.metric = clustered_metric(metric);
  points.dim = dim;
  points.rows.assign(static_cast<size_t>(count * points.stride()), 0.0f);
  points.weights.assign(static_cast<size_t>(count), 1);
  return points;
}

void set_point(int32_t metric, const float* row, double squared, int64_t i, Points* points) {
  float* const to = points->rows.data() + i * points->stride();
  // A zero row, which dot and L2 take, has no direction: of dot it counts for nothing.
  if (points->metric != NF_COSINE || squared > 0)
    prepare_query(points->metric, row, points->dim, squared, to);
  points->weights[static_cast<size_t>(i)] = metric == NF_DOT ? std::sqrt(squared) : 1;
}

Piece clustering_piece(const Points& points) { return {kPieceProducts, kBlockFloats / points.stride()}; }

void ListTraining::renumber() {
  build_.reset();
  if (phase_ == Phase::kRead && request_.own_rows) phase_ = Phase::kChoose;
}

Status ListTraining::choose(const Call& call, const ListBuild::Source& from) {
  const int64_t all = request_.own_rows ? from.live.live() : request_.data.rows;
  if (all < 2)
    return error(NF_FAILED_PRECONDITION,
                 "%s: the index holds %lld live rows, lists are trained on at least 2", call.operation(),
                 static_cast<long long>(all));
  clusters_ = request_.lists != 0 ? request_.lists : lists_for(std::max(all, from.live.live()));
  if (clusters_ > all)
    return error(NF_INVALID_ARGUMENT, "%s: lists=%lld, there are %lld rows to train them on",
                 call.operation(), static_cast<long long>(clusters_), static_cast<long long>(all));
  const int64_t wanted = request_.list_sample != 0 ? request_.list_sample : kListSampleRows * clusters_;
  if (wanted < clusters_)
    return error(NF_INVALID_ARGUMENT, "%s: sample=%lld, it must be 0 or at least lists=%lld",
                 call.operation(), static_cast<long long>(wanted), static_cast<long long>(clusters_));
  Random random(request_.seed);
  numbers_ = strata(all, std::min(all, wanted), &random);
  if (request_.own_rows) to_live_rows(from.live, &numbers_);
  points_ = points_for(from.rules.metric, from.dim, static_cast<int64_t>(numbers_.size()));
  read_ = 0;
  return {};
}

Status ListTraining::read(const Call& call, const ListBuild::Source& from, const TrainRequest& now) {
  const auto dim = static_cast<int64_t>(from.dim);
  const int64_t count =
      std::min(static_cast<int64_t>(numbers_.size()) - read_, std::max<int64_t>(1, kBlockFloats / dim));
  std::vector<int64_t> rows(numbers_.begin() + read_, numbers_.begin() + read_ + count);
  std::vector<float> vectors(static_cast<size_t>(count * dim));
  if (request_.own_rows) {
    if (from.listed != nullptr) from.listed->lists.to_places(&rows);
    NF_TRY(from.store.read(rows, vectors.data(), dim, call));
  }
  for (int64_t i = 0; i < count; ++i, ++read_) {
    float* const row = vectors.data() + i * dim;
    double squared = 0;
    if (request_.own_rows) {
      squared = squared_norm(row, dim);
    } else {
      const MatrixView given = now.data.slice(rows[static_cast<size_t>(i)], 1);
      NF_TRY(check_vectors(call, "data row", rows[static_cast<size_t>(i)], from.rules, given, &squared));
      std::copy_n(given.data, dim, row);
    }
    set_point(from.rules.metric, row, squared, read_, &points_);
  }
  return {};
}

Status ListTraining::begin_clustering() {
  LloydOptions options;
  options.iterations = request_.iterations != 0 ? request_.iterations : kListIterations;
  options.seed = request_.seed;
  // A number of lists that nobody has asked for gives way to rows that lie in fewer places.
  options.may_be_short = request_.lists == 0;
  std::vector<float> start;
  if (phase_ == Phase::kRead) points_.find_mean();
  if (phase_ == Phase::kStart) {
    start = levels_->take_centroids();
    levels_.reset();
    options.iterations = std::min(options.iterations, std::max(2, options.iterations / 10));
  } else if (clusters_ > TwoLevels::kMostOfOneLevel) {
    levels_ = std::make_unique<TwoLevels>(points_, clusters_, options);
    phase_ = Phase::kStart;
    return {};
  }
  clustering_ = std::make_unique<Clustering>(points_, clusters_, options, std::move(start));
  phase_ = Phase::kCluster;
  return {};
}

Status ListTraining::cluster(const Call& call, Context& context, const ListBuild::Source& from) {
  Passed passed;
  NF_TRY(clustering_->advance(call, context, clustering_piece(points_), &passed));
  if (!clustering_->is_done()) return {};
  std::vector<float> values = clustering_->lloyd().centroids().rows();
  clustering_.reset();
  points_ = {};
  NF_TRY(CoarseQuantizer::create(call, context.device(), from.rules.metric, from.dim, std::move(values),
                                 &coarse_));
  phase_ = Phase::kBuild;
  return {};
}

Status ListTraining::advance(const Call& call, Context& context, const ListBuild::Source& from,
                             const TrainRequest& now) {
  Passed passed;
  switch (phase_) {
    case Phase::kChoose:
      NF_TRY(choose(call, from));
      phase_ = Phase::kRead;
      return {};
    case Phase::kRead:
      NF_TRY(read(call, from, now));
      return read_ == static_cast<int64_t>(numbers_.size()) ? begin_clustering() : Status();
    case Phase::kStart:
      NF_TRY(levels_->advance(call, context, clustering_piece(points_), &passed));
      return levels_->is_done() ? begin_clustering() : Status();
    case Phase::kCluster:
      return cluster(call, context, from);
    case Phase::kBuild:
      return build_->advance(call, from);
  }
  return {};
}

Status Index::train_lists(const Call& call, Context& context, const TrainRequest& request, nf_step* step) {
  std::unique_ptr<ListTraining> work = std::move(list_training_);  // a step that fails ends it
  if (work != nullptr && (!work->request().matches(request) || work->position() != step->position))
    work.reset();
  if (work == nullptr) work = std::make_unique<ListTraining>(request);
  const auto start = Call::Clock::now();
  const auto left = [&] {
    const std::chrono::nanoseconds spent = Call::Clock::now() - start;
    return step->budget_ns == 0 ? 0 : std::max<int64_t>(step->budget_ns - spent.count(), 1);
  };
  bool waits = false;
  if (options_.coded && work->basis_step().done == 0) {
    TrainRequest basis = request;
    basis.lists = basis.iterations = 0;
    work->basis_step().budget_ns = left();
    NF_TRY(train(call, basis, &work->basis_step()));
    waits = work->basis_step().done == 0;
  }
  while (!waits && !work->is_done()) {
    NF_TRY(call.poll());
    if (work->wants_store()) {
      std::unique_ptr<Store> store;
      NF_TRY(new_store(call, context, live_.rows(), "its lists", &store));
      work->give_store(std::move(store), build_source());
    }
    NF_TRY(work->advance(call, context, build_source(), request));
    call.progress(kPhaseTrain, work->position(), rows());
    const std::chrono::nanoseconds spent = Call::Clock::now() - start;
    if (step->budget_ns != 0 && spent.count() >= step->budget_ns) break;
  }
  step->done = work->is_done() ? 1 : 0;
  if (step->done == 0) {
    step->position = work->position();
    list_training_ = std::move(work);
    return {};
  }
  step->position = rows();
  take_lists(work->build());
  return {};
}

}  // namespace nearfield
