// SPDX-License-Identifier: Apache-2.0
#include "coarse_quantizer.hpp"

#include <algorithm>

#include "metric.hpp"

namespace nearfield {

namespace {
// Vector bytes that are prepared at once: the assignment of a block that stays in a cache.
constexpr int64_t kBlockBytes = int64_t{1} << 20;
}  // namespace

CoarseQuantizer::CoarseQuantizer(int32_t metric, int32_t dim, std::vector<float> values)
    : metric_(metric),
      dim_(dim),
      count_(static_cast<int32_t>(static_cast<int64_t>(values.size()) / dim)),
      values_(std::move(values)) {
  if (metric != NF_COSINE) return;
  unit_.resize(values_.size());
  for (int64_t i = 0; i < count_; ++i) {
    const float* const from = values_.data() + i * dim;
    prepare_query(metric, from, dim, squared_norm(from, dim), unit_.data() + i * dim);
  }
}

Status CoarseQuantizer::create(const Call& call, Device& device, int32_t metric, int32_t dim,
                               std::vector<float> values, std::shared_ptr<CoarseQuantizer>* out) {
  std::shared_ptr<CoarseQuantizer> made(new CoarseQuantizer(metric, dim, std::move(values)));
  NF_TRY(made->fill(call, device, metric, &made->probed_));
  if (metric == NF_POINCARE) NF_TRY(made->fill(call, device, NF_L2SQ, &made->assigned_));
  *out = std::move(made);
  return {};
}

Status CoarseQuantizer::fill(const Call& call, Device& device, int32_t metric,
                             std::unique_ptr<Store>* store) {
  StoreOptions options;
  options.metric = metric;
  options.dim = dim_;
  options.capacity = count_;
  // Every row that is added, and every row of a training, meets them.
  options.coded = device.codes_pay(metric, kBlockBytes / (dim_ * static_cast<int64_t>(sizeof(float))));
  NF_TRY(device.create_store(options, store, call));
  if (options.coded) (*store)->set_basis(centred_basis(mean()));
  std::vector<float> side(static_cast<size_t>(count_));
  for (int32_t i = 0; i < count_; ++i)
    side[static_cast<size_t>(i)] = row_side(metric, squared_norm(values_.data() + int64_t{i} * dim_, dim_));
  return (*store)->append({values_.data(), count_, dim_, side.data(), true}, call);
}

// As rows are coded: of cosine at length 1.
std::vector<float> CoarseQuantizer::mean() const {
  return mean_of_rows(prepared_centroids(), count_, dim_, dim_);
}

uint64_t CoarseQuantizer::device_bytes() const {
  return probed_->device_bytes() + (assigned_ != nullptr ? assigned_->device_bytes() : 0);
}

Status CoarseQuantizer::assign(const Call& call, const MatrixView& rows, const double* squared,
                               int32_t* list_of_row) {
  Store& store = assigned();
  const int64_t stride = padded_dim(dim_);
  const int64_t most = std::max<int64_t>(1, kBlockBytes / (stride * static_cast<int64_t>(sizeof(float))));
  std::vector<Hit> hits;
  for (int64_t first = 0; first < rows.rows; first += most) {
    NF_TRY(call.poll());
    const int64_t count = std::min(most, rows.rows - first);
    prepared_.assign(static_cast<size_t>(count * stride), 0.0f);
    for (int64_t i = 0; i < count; ++i)
      prepare_query(metric_, rows.row(first + i), dim_, squared[first + i], prepared_.data() + i * stride);
    hits.assign(static_cast<size_t>(count), Hit{});
    NF_TRY(find(call, store, prepared_.data(), stride, count, 1, hits.data()));
    for (int64_t i = 0; i < count; ++i)
      list_of_row[first + i] = static_cast<int32_t>(hits[static_cast<size_t>(i)].row);
  }
  return {};
}

Status CoarseQuantizer::find(const Call& call, Store& store, const float* queries, int64_t stride,
                             int64_t batch, int32_t k, Hit* hits) {
  SearchPlan plan;
  plan.queries = queries;
  plan.query_stride = stride;
  plan.batch = batch;
  plan.k = k;
  plan.hits = hits;
  return store.search(plan, call);
}

Status CoarseQuantizer::nearest(const Call& call, const float* queries, int64_t stride, int64_t batch,
                                int32_t probes, Hit* hits) {
  return find(call, *probed_, queries, stride, batch, probes, hits);
}

Status CoarseQuantizer::neighbours(const Call& call, std::span<const int32_t> lists, int32_t count,
                                   Hit* hits) {
  const int64_t stride = padded_dim(dim_);
  const float* const prepared = prepared_centroids();
  std::vector<float> queries(lists.size() * static_cast<size_t>(stride));
  for (size_t i = 0; i < lists.size(); ++i)
    std::copy_n(prepared + int64_t{lists[i]} * dim_, dim_, queries.data() + static_cast<int64_t>(i) * stride);
  return find(call, assigned(), queries.data(), stride, static_cast<int64_t>(lists.size()), count, hits);
}

double CoarseQuantizer::cost(const float* row, double squared, int32_t list) const {
  const bool by_product = metric_ == NF_DOT;
  const float* const centroid = prepared_centroids() + int64_t{list} * dim_;
  const double scale = metric_ == NF_COSINE ? 1 / std::sqrt(squared) : 1;
  double sum = 0;
  for (int32_t i = 0; i < dim_; ++i) {
    const double x = scale * static_cast<double>(row[i]), c = static_cast<double>(centroid[i]);
    sum += by_product ? x * c : (x - c) * (x - c);
  }
  if (!by_product) return sum;
  const double length = std::sqrt(squared_norm(centroid, dim_));
  return std::max(0.0, std::sqrt(squared) - (length > 0 ? sum / length : 0));
}

void CoarseQuantizer::distances(std::span<const Hit> order, std::vector<double>* squared,
                                std::vector<double>* between) const {
  squared->clear();
  between->clear();
  const float* const all = prepared_centroids();
  const float* const first = all + order[0].row * dim_;
  for (const Hit& hit : order) {
    squared->push_back((metric_ == NF_COSINE ? 2.0 : 1.0) * static_cast<double>(hit.rank));
    // Eight sums, so that the compiler takes them at once; the estimate needs no more than f32.
    constexpr int kSums = 8;
    float sums[kSums] = {};
    const float* const other = all + hit.row * dim_;
    int32_t i = 0;
    for (; i + kSums <= dim_; i += kSums)
      for (int j = 0; j < kSums; ++j) {
        const float difference = other[i + j] - first[i + j];
        sums[j] += difference * difference;
      }
    for (; i < dim_; ++i) sums[0] += (other[i] - first[i]) * (other[i] - first[i]);
    double sum = 0;
    for (const float part : sums) sum += static_cast<double>(part);
    between->push_back(std::sqrt(sum));
  }
}

}  // namespace nearfield
