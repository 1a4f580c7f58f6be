// SPDX-License-Identifier: Apache-2.0
// nf_kmeans in steps: the rows are checked and a sample of them kept, it is clustered, and all rows get
// labels.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "clustering.hpp"
#include "entries.hpp"
#include "index.hpp"
#include "metric.hpp"
#include "random.hpp"
#include "search.hpp"
#include "steps.hpp"

namespace nearfield {
namespace {

constexpr int64_t kMostClusters = 65536;
constexpr int32_t kDefaultIterations = 10;
// faiss warns below 39 rows a centroid and takes no more than 256: more do not change them.
constexpr int64_t kSampleRows = 256;
// Between two looks at the clock: floats that are checked and copied (1 ms), and products, at first 1 to 3 ms
// of a core by floats, then as many as took a quarter of the budget.
constexpr int64_t kPieceFloats = int64_t{1} << 20;
constexpr int64_t kPieceProducts = int64_t{1} << 26, kMostPieceProducts = int64_t{1} << 40;
// Fewer say nothing of the next.
constexpr int64_t kTimedProducts = int64_t{1} << 22;

struct KmeansRequest {
  int32_t metric = 0;
  MatrixView data;
  const float* weights = nullptr;
  int64_t clusters = 0, sample = 0;
  int32_t iterations = 0;
  bool warm = false, balanced = false;
  uint64_t seed = 0;
  float* centroids = nullptr;
  int32_t* labels = nullptr;
  double* inertia = nullptr;

  bool wants_rows() const { return labels != nullptr || inertia != nullptr; }
  float weight(int64_t row) const { return weights != nullptr ? weights[row] : 1; }
};

Status read_numbers(const Call& call, const nf_kmeans& request, KmeansRequest* to) {
  const int64_t rows = to->data.rows, most = std::min(kMostClusters, rows);
  if (request.clusters < 1 || request.clusters > most)
    return error(NF_INVALID_ARGUMENT, "%s: clusters=%d, it must be at least 1 and at most %lld%s",
                 call.operation(), request.clusters, static_cast<long long>(most),
                 most == rows ? ", the rows" : "");
  to->clusters = request.clusters;
  if (request.iterations < 0)
    return error(NF_INVALID_ARGUMENT, "%s: iterations=%d, it must be at least 0", call.operation(),
                 request.iterations);
  to->iterations = request.iterations != 0 ? request.iterations : kDefaultIterations;
  if (request.init != 0 && request.init != 1)
    return error(request.init < 0 ? NF_INVALID_ARGUMENT : NF_UNIMPLEMENTED,
                 "%s: init=%d, this library knows 0 (k-means||) and 1 (a warm start)", call.operation(),
                 request.init);
  to->warm = request.init == 1;
  if (request.balanced != 0 && request.balanced != 1)
    return error(NF_INVALID_ARGUMENT, "%s: balanced=%d, it must be 0 or 1", call.operation(),
                 request.balanced);
  to->balanced = request.balanced == 1;
  if (request.sample != 0 && request.sample < request.clusters)
    return error(NF_INVALID_ARGUMENT, "%s: sample=%lld, it must be 0 or at least clusters=%d",
                 call.operation(), static_cast<long long>(request.sample), request.clusters);
  to->sample = std::min(rows, request.sample != 0 ? request.sample : kSampleRows * to->clusters);
  to->seed = request.seed;
  return {};
}

Status read_request(const Call& call, const Context& context, const nf_kmeans* from, KmeansRequest* to) {
  nf_kmeans request;
  NF_TRY(read_struct(call, "kmeans", from, &request));
  NF_TRY(context.check_served(call, request.metric));
  if (!has_means(request.metric))
    return error(NF_UNIMPLEMENTED, "%s: metric=%d (%s), clusters have means under L2 squared, cosine and dot",
                 call.operation(), request.metric, metric_name(request.metric));
  to->metric = request.metric;
  NF_TRY(read_matrix(call, "data", request.data, &to->data));
  NF_TRY(read_numbers(call, request, to));
  NF_TRY(check_optional(call, "weights", request.weights));
  NF_TRY(check_pointer(call, "centroids", request.centroids));
  NF_TRY(check_optional(call, "labels", request.labels));
  NF_TRY(check_optional(call, "inertia", request.inertia));
  to->weights = request.weights;
  to->centroids = request.centroids;
  to->labels = request.labels;
  to->inertia = request.inertia;
  return {};
}

class KmeansRun final : public Work {
 public:
  Status begin(const Call& call, const KmeansRequest& request);
  Status check_same(const Call& call, const KmeansRequest& request) const;
  Status step(const Call& call, Context& context, const KmeansRequest& request, int64_t budget_ns);
  int64_t position() const { return position_; }
  bool is_done() const { return phase_ == Phase::kDone; }
  void write(const KmeansRequest& request) const;

 private:
  enum class Phase { kRead, kStart, kCluster, kLabel, kDone };
  Status read_start(const Call& call, const KmeansRequest& request);
  Status advance(const Call& call, Context& context, const KmeansRequest& request, const Piece& piece,
                 Passed* passed);
  Status read(const Call& call, const KmeansRequest& request, Passed* passed);
  Status begin_clustering(const Call& call);
  Status label(const Call& call, Context& context, const KmeansRequest& request, const Piece& piece,
               Passed* passed);
  bool has_all() const { return shape_.sample == shape_.data.rows; }
  // Whether those of the clustering are those of all rows.
  bool has_labels() const { return has_all() && points_.metric == shape_.metric; }
  void keep(const float* row, double squared, float weight);

  KmeansRequest shape_;  // of the first step: its numbers, none of its pointers
  VectorRules rules_;
  Phase phase_ = Phase::kRead;
  int64_t position_ = 0, planned_ = 0;
  int64_t piece_products_ = kPieceProducts;
  std::vector<int64_t> numbers_;  // of the sample; empty: all rows
  Points points_;
  int64_t next_ = 0, kept_ = 0;  // rows that have been read or labelled; those kept
  std::vector<float> start_;     // a warm one
  std::unique_ptr<TwoLevels> levels_;
  std::unique_ptr<Clustering> clustering_;
  // Of all rows, where those of the clustering are not.
  std::unique_ptr<Centroids> final_;
  std::vector<int32_t> labels_;
  double inertia_ = 0;
};

Status KmeansRun::begin(const Call& call, const KmeansRequest& request) {
  shape_ = request;
  rules_ = {request.metric, 0};
  Random random(request.seed);
  if (!has_all()) numbers_ = strata(request.data.rows, request.sample, &random);
  points_.metric = clustered_as(request.metric);
  points_.dim = request.data.cols;
  const auto rows = static_cast<size_t>(request.sample);
  points_.rows.resize(rows * static_cast<size_t>(points_.stride()));
  points_.weights.resize(rows);
  if (request.warm) NF_TRY(read_start(call, request));
  const bool levels = !request.warm && request.clusters > TwoLevels::kMostOfOneLevel;
  const int64_t seeded = Clustering::planned(request.sample, request.iterations, !request.warm);
  planned_ = request.data.rows + (levels ? 3 : 1) * seeded;
  if (!has_labels() && request.wants_rows()) planned_ += request.data.rows;
  return {};
}

// Centroids of dot are directions.
Status KmeansRun::read_start(const Call& call, const KmeansRequest& request) {
  const int64_t dim = request.data.cols;
  const MatrixView given{request.centroids, request.clusters, dim, dim};
  std::vector<double> squared(static_cast<size_t>(request.clusters));
  NF_TRY(check_vectors(call, "centroid", 0, rules_, given, squared.data()));
  start_.assign(given.data, given.data + request.clusters * dim);
  if (request.metric != NF_DOT) return {};
  // What this function has made is left as it is: each element has been rounded once.
  constexpr double kRounded = 0x1p-22;
  for (int64_t i = 0; i < request.clusters; ++i) {
    const double norm = std::sqrt(squared[static_cast<size_t>(i)]);
    if (norm == 0)
      return error(NF_INVALID_ARGUMENT, "%s: centroid %lld has norm 0, of dot it must have a direction",
                   call.operation(), static_cast<long long>(i));
    if (std::fabs(norm - 1) <= kRounded) continue;
    const std::vector<double> row(given.row(i), given.row(i) + dim);
    normalise(row.data(), norm, dim, start_.data() + i * dim);
  }
  return {};
}

Status KmeansRun::check_same(const Call& call, const KmeansRequest& request) const {
  const auto same = [&](const char* name, int64_t now, int64_t then) {
    return nearfield::check_same(call, name, now, then);
  };
  NF_TRY(same("metric", request.metric, shape_.metric));
  NF_TRY(same("data->rows", request.data.rows, shape_.data.rows));
  NF_TRY(same("data->cols", request.data.cols, shape_.data.cols));
  NF_TRY(same("clusters", request.clusters, shape_.clusters));
  NF_TRY(same("iterations", request.iterations, shape_.iterations));
  NF_TRY(same("init", request.warm ? 1 : 0, shape_.warm ? 1 : 0));
  NF_TRY(same("balanced", request.balanced ? 1 : 0, shape_.balanced ? 1 : 0));
  NF_TRY(same("sample", request.sample, shape_.sample));
  NF_TRY(same("seed", static_cast<int64_t>(request.seed), static_cast<int64_t>(shape_.seed)));
  NF_TRY(same("weights != NULL", request.weights != nullptr, shape_.weights != nullptr));
  return same("labels or inertia != NULL", request.wants_rows(), shape_.wants_rows());
}

Status KmeansRun::step(const Call& call, Context& context, const KmeansRequest& request, int64_t budget_ns) {
  const int64_t row_bytes = points_.stride() * static_cast<int64_t>(sizeof(float)) +
                            static_cast<int64_t>(sizeof(Hit) + 2 * sizeof(int64_t));
  const int64_t rows = static_cast<int64_t>(context.workspace_target()) / row_bytes;
  const auto start = Call::Clock::now();
  std::chrono::nanoseconds spent{0};
  while (!is_done() && (budget_ns == 0 || spent.count() < budget_ns)) {
    NF_TRY(call.poll());
    Passed passed;
    NF_TRY(advance(call, context, request, {budget_ns != 0 ? piece_products_ : kMostPieceProducts, rows},
                   &passed));
    position_ += passed.rows;
    call.progress(kPhaseTrain, position_, std::max(position_, is_done() ? position_ : planned_));
    const std::chrono::nanoseconds before = spent;
    spent = Call::Clock::now() - start;
    if (passed.products < kTimedProducts) continue;
    const double share =
        static_cast<double>(budget_ns) / 4 / static_cast<double>((spent - before).count() + 1);
    // No more than twice as many at a time: a small piece may have been quick by chance.
    piece_products_ =
        std::clamp(static_cast<int64_t>(static_cast<double>(passed.products) * std::min(share, 2.0)),
                   kTimedProducts, kMostPieceProducts);
  }
  return {};
}

Status KmeansRun::advance(const Call& call, Context& context, const KmeansRequest& request,
                          const Piece& piece, Passed* passed) {
  switch (phase_) {
    case Phase::kRead:
      NF_TRY(read(call, request, passed));
      return next_ == request.data.rows ? begin_clustering(call) : Status();
    case Phase::kStart:
      NF_TRY(levels_->advance(call, context, piece, passed));
      if (levels_->is_done()) {
        start_ = levels_->take_centroids();
        levels_.reset();
        NF_TRY(begin_clustering(call));
      }
      break;
    case Phase::kCluster:
      NF_TRY(clustering_->advance(call, context, piece, passed));
      if (!clustering_->is_done()) break;
      if (has_labels()) inertia_ = clustering_->lloyd().inertia();
      phase_ = request.wants_rows() && !has_labels() ? Phase::kLabel : Phase::kDone;
      next_ = 0;
      break;
    case Phase::kLabel:
      return label(call, context, request, piece, passed);
    case Phase::kDone:
      break;
  }
  return {};
}

// The next row of the sample; the memory it comes to is zero.
void KmeansRun::keep(const float* row, double squared, float weight) {
  float* const to = points_.rows.data() + kept_ * points_.stride();
  double counts = static_cast<double>(weight);
  if (shape_.metric == NF_DOT) {
    const double norm = std::sqrt(squared);
    counts *= norm;  // 0: without a direction
    for (int64_t i = 0; i < points_.dim && norm > 0; ++i)
      to[i] = static_cast<float>(static_cast<double>(row[i]) / norm);
  } else {
    prepare_query(shape_.metric, row, points_.dim, squared, to);
  }
  points_.weights[static_cast<size_t>(kept_++)] = counts;
}

Status KmeansRun::read(const Call& call, const KmeansRequest& request, Passed* passed) {
  const int64_t first = next_;
  const int64_t count =
      std::min(request.data.rows - first, std::max<int64_t>(1, kPieceFloats / request.data.cols));
  std::vector<double> squared(static_cast<size_t>(count));
  NF_TRY(check_vectors(call, "data row", first, rules_, request.data.slice(first, count), squared.data()));
  for (int64_t row = first; row < first + count; ++row) {
    const float weight = request.weight(row);
    if (!(weight >= 0 && weight <= std::numeric_limits<float>::max()))
      return error(NF_INVALID_ARGUMENT, "%s: weights[%lld]=%g, a weight must be finite and at least 0",
                   call.operation(), static_cast<long long>(row), static_cast<double>(weight));
    if (!has_all() && (kept_ == points_.count() || numbers_[static_cast<size_t>(kept_)] != row)) continue;
    keep(request.data.row(row), squared[static_cast<size_t>(row - first)], weight);
  }
  next_ += count;
  passed->rows = count;
  return {};
}

Status KmeansRun::begin_clustering(const Call& call) {
  LloydOptions options;
  options.iterations = shape_.iterations;
  options.balanced = shape_.balanced;
  options.seed = shape_.seed;
  if (phase_ == Phase::kRead) {
    points_.find_mean();
    const auto counting = std::count_if(points_.weights.begin(), points_.weights.end(),
                                        [](double weight) { return weight > 0; });
    if (counting < shape_.clusters)
      return error(NF_INVALID_ARGUMENT, "%s: clusters=%lld, the sample has %lld rows of a weight above 0",
                   call.operation(), static_cast<long long>(shape_.clusters),
                   static_cast<long long>(counting));
    if (!shape_.warm && shape_.clusters > TwoLevels::kMostOfOneLevel) {
      levels_ = std::make_unique<TwoLevels>(points_, shape_.clusters, options);
      phase_ = Phase::kStart;
      return {};
    }
  } else {
    // The levels have had theirs.
    options.iterations = std::min(options.iterations, std::max(2, options.iterations / 10));
  }
  clustering_ = std::make_unique<Clustering>(points_, shape_.clusters, options, std::move(start_));
  phase_ = Phase::kCluster;
  return {};
}

// Rows that have been out of sight since they were checked.
Status KmeansRun::label(const Call& call, Context& context, const KmeansRequest& request, const Piece& piece,
                        Passed* passed) {
  const int64_t first = next_, dim = request.data.cols;
  if (first == 0) {
    labels_.resize(static_cast<size_t>(request.data.rows));
    NF_TRY(Centroids::create(call, context, request.metric, points_.mean,
                             clustering_->lloyd().centroids().rows(), request.data.rows, &final_));
  }
  const int64_t count = std::min(request.data.rows - first, piece.rows_against(shape_.clusters, dim));
  const MatrixView rows = request.data.slice(first, count);
  std::vector<double> squared(static_cast<size_t>(count));
  NF_TRY(check_vectors(call, "data row", first, rules_, rows, squared.data()));
  std::vector<float> prepared(static_cast<size_t>(count * points_.stride()));
  for (int64_t i = 0; i < count; ++i)
    prepare_query(request.metric, rows.row(i), dim, squared[static_cast<size_t>(i)],
                  prepared.data() + i * points_.stride());
  std::vector<Hit> hits(static_cast<size_t>(count));
  NF_TRY(final_->nearest(call, prepared.data(), count, nullptr, hits.data()));
  for (int64_t i = 0; i < count; ++i) {
    const Hit& hit = hits[static_cast<size_t>(i)];
    labels_[static_cast<size_t>(first + i)] = static_cast<int32_t>(hit.row);
    inertia_ += static_cast<double>(request.weight(first + i)) * static_cast<double>(hit.rank);
  }
  next_ += count;
  *passed = {count, count * shape_.clusters * dim};
  if (next_ == request.data.rows) phase_ = Phase::kDone;
  return {};
}

void KmeansRun::write(const KmeansRequest& request) const {
  Lloyd& lloyd = clustering_->lloyd();
  const std::vector<float>& centroids = lloyd.centroids().rows();
  std::copy(centroids.begin(), centroids.end(), request.centroids);
  const std::vector<int32_t>& labels = has_labels() ? lloyd.labels() : labels_;
  if (request.labels != nullptr) std::copy(labels.begin(), labels.end(), request.labels);
  if (request.inertia != nullptr) *request.inertia = inertia_;
}

}  // namespace

Status kmeans(const Call& call, Context& context, const nf_kmeans* from, nf_step* caller) {
  Step<KmeansRun> step(context, caller);
  NF_TRY(step.begin(call));
  KmeansRun& run = step.run();
  KmeansRequest request;
  NF_TRY(read_request(call, context, from, &request));
  NF_TRY(step.is_again() ? run.check_same(call, request) : run.begin(call, request));
  NF_TRY(run.step(call, context, request, step.budget_ns()));
  step.end([&] { run.write(request); });
  return {};
}

}  // namespace nearfield
