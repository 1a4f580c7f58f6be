// SPDX-License-Identifier: Apache-2.0
#include "requests.hpp"

#include <cstring>
#include <type_traits>

namespace nearfield_test {

static_assert(std::is_trivially_copyable_v<Requests>);

const char* operation(Entry entry) {
  switch (entry) {
    case Entry::kDeviceCount:
      return "device_count";
    case Entry::kDeviceInfo:
      return "device_info";
    case Entry::kContextCreate:
      return "context_create";
    case Entry::kEstimate:
      return "index_estimate";
    case Entry::kCreate:
      return "index_create";
    case Entry::kInfo:
      return "index_info";
    case Entry::kAdd:
      return "add";
    case Entry::kReplace:
      return "replace";
    case Entry::kRead:
      return "read";
    case Entry::kSetLive:
      return "set_live";
    case Entry::kCompact:
      return "compact";
    case Entry::kSearch:
      return "search";
    case Entry::kScore:
      return "score";
    case Entry::kKnn:
      return "knn";
    case Entry::kKmeans:
      return "kmeans";
    case Entry::kAssign:
      return "assign";
  }
  return "";
}

namespace {

nf_matrix matrix_at(float* data, int64_t rows, int64_t stride) {
  nf_matrix matrix = sized<nf_matrix>();
  matrix.dtype = NF_F32;
  matrix.data = data;
  matrix.rows = rows;
  matrix.cols = kDim;
  matrix.row_stride = stride * static_cast<int64_t>(sizeof(float));
  return matrix;
}

}  // namespace

void Requests::fill(nf_context* with_context, nf_index* with_index, nf_error* with_error) {
  std::memset(static_cast<void*>(this), 0x5A, sizeof(*this));
  context = with_context;
  index = with_index;
  error = with_error;

  at.call = sized<nf_call>();
  at.call.error = with_error;
  at.call.cancel = &at.cancel;
  at.call.timeout_ns = int64_t{60} * 1'000'000'000;
  at.cancel = 0;
  call = &at.call;
  count = &at.count;
  device = 0;
  at.device_info = sized<nf_device_info>();
  device_info = &at.device_info;
  at.context_desc = sized<nf_context_desc>();
  context_desc = &at.context_desc;
  context_out = &at.context_out;
  at.desc = flat(NF_L2SQ, kDim);
  at.desc.capacity = 100;
  desc = &at.desc;
  peak_bytes = &at.peak_bytes;
  bytes = &at.bytes;
  index_out = &at.index_out;
  at.info = sized<nf_index_info>();
  info = &at.info;

  const std::vector<float> values = random_rows(7, kDataset + 8, kDim);
  std::memcpy(at.dataset_data, values.data(), sizeof(at.dataset_data));
  for (int64_t i = 0; i < 3; ++i)
    std::memcpy(at.rows_data + i * kStride, values.data() + (kDataset + i) * kDim, kDim * sizeof(float));
  for (int64_t i = 0; i < kQueries; ++i)
    std::memcpy(at.query_data + i * kStride, values.data() + (kDataset + 4 + i) * kDim, kDim * sizeof(float));
  at.rows = matrix_at(at.rows_data, 3, kStride);
  at.out = matrix_at(at.out_data, 3, kStride);
  at.queries = matrix_at(at.query_data, kQueries, kStride);
  at.dataset = matrix_at(at.dataset_data, kDataset, kDim);
  at.add = sized<nf_add>();
  at.add.rows = &at.rows;
  add = &at.add;
  rows = &at.rows;
  out = &at.out;
  first_row = &at.first_row;
  at.numbers[0] = 30;
  at.numbers[1] = 1;
  at.numbers[2] = 2;
  numbers = at.numbers;
  at.live = sized<nf_live>();
  at.live.rows = at.numbers;
  at.live.count = 3;
  live = &at.live;

  at.compact = sized<nf_compact>();
  at.compact.new_row = at.new_row;
  at.compact.new_row_count = kIndexRows;
  compact = &at.compact;
  at.step = sized<nf_step>();
  at.step.done = 0x5A;
  step = &at.step;

  at.bitset = sized<nf_filter>();
  at.bitset.kind = NF_BITSET;
  at.bitset.bits = at.bits;
  at.bitset.count = 2;
  at.bits[0] = 0xFFFF00FF;
  at.bits[1] = 0xFFFFFFFF;
  at.listed = sized<nf_filter>();
  at.listed.kind = NF_ROWS;
  at.listed.rows = at.filter_rows;
  at.listed.count = 3;
  at.filter_rows[0] = 0;
  at.filter_rows[1] = 7;
  at.filter_rows[2] = 38;
  at.filters[0] = &at.bitset;
  at.filters[1] = &at.listed;
  at.filter_of_query[0] = 1;
  at.filter_of_query[1] = 0;

  at.result = sized<nf_result>();
  at.result.k = kK;
  at.result.rows = at.result_rows;
  at.result.distances = at.result_distances;
  at.result.row_stride = kResultStride;
  at.result.count = at.result_count;
  at.result.certified = at.result_certified;
  at.result.rescored = at.result_rescored;
  at.result.lists_scanned = at.result_lists;
  at.search = sized<nf_search>();
  at.search.queries = &at.queries;
  at.search.filters = at.filters;
  at.search.filter_of_query = at.filter_of_query;
  at.search.filter_count = 2;
  at.search.result = &at.result;
  search = &at.search;

  at.score = sized<nf_score>();
  at.score.queries = &at.queries;
  at.score.offsets = at.offsets;
  at.score.rows = at.score_rows;
  at.score.distances = at.score_distances;
  at.score.errors = at.score_errors;
  at.offsets[0] = 0;
  at.offsets[1] = 2;
  at.offsets[2] = 5;
  const int64_t scored[] = {0, 39, 5, -4, kIndexRows};  // one dead, two unknown
  std::memcpy(at.score_rows, scored, sizeof(scored));
  score = &at.score;

  at.knn = sized<nf_knn>();
  at.knn.metric = NF_L2SQ;
  at.knn.queries = &at.queries;
  at.knn.dataset = &at.dataset;
  at.knn.filter = &at.bitset;
  at.knn.result = &at.result;
  knn = &at.knn;
  at.knn_step = sized<nf_step>();
  at.knn_step.done = 0x5A;
  knn_step = &at.knn_step;

  at.kmeans = sized<nf_kmeans>();
  at.kmeans.metric = NF_L2SQ;
  at.kmeans.data = &at.dataset;
  at.kmeans.weights = at.weights;
  at.kmeans.clusters = kClusters;
  at.kmeans.iterations = 2;
  at.kmeans.centroids = at.centroids;
  at.kmeans.labels = at.labels;
  at.kmeans.inertia = &at.inertia;
  for (float& weight : at.weights) weight = 1.5f;
  kmeans = &at.kmeans;
  at.kmeans_step = sized<nf_step>();
  at.kmeans_step.done = 0x5A;
  kmeans_step = &at.kmeans_step;
  at.assign = sized<nf_assign>();
  at.assign.metric = NF_L2SQ;
  at.assign.data = &at.queries;
  at.assign.centroids = &at.dataset;
  at.assign.nearest = &at.result;
  assign = &at.assign;
}

nf_status Requests::run(const nf_api* api, Entry entry) {
  switch (entry) {
    case Entry::kDeviceCount:
      return api->device_count(count, call);
    case Entry::kDeviceInfo:
      return api->device_info(device, device_info, call);
    case Entry::kContextCreate:
      return api->context_create(context_desc, context_out, call);
    case Entry::kEstimate:
      return api->index_estimate(context, desc, peak_bytes, bytes, call);
    case Entry::kCreate:
      return api->index_create(context, desc, index_out, call);
    case Entry::kInfo:
      return api->index_info(index, info, call);
    case Entry::kAdd:
      return api->index_add(index, add, first_row, call);
    case Entry::kReplace:
      return api->index_replace(index, numbers, rows, call);
    case Entry::kRead:
      return api->index_read(index, numbers, out, call);
    case Entry::kSetLive:
      return api->index_set_live(index, live, call);
    case Entry::kCompact:
      return api->index_compact(index, compact, step, call);
    case Entry::kSearch:
      return api->index_search(index, search, call);
    case Entry::kScore:
      return api->index_score(index, score, call);
    case Entry::kKnn:
      return api->knn(context, knn, knn_step, call);
    case Entry::kKmeans:
      return api->kmeans(context, kmeans, kmeans_step, call);
    case Entry::kAssign:
      return api->assign(context, assign, call);
  }
  return NF_INTERNAL;
}

void Requests::destroy_made(const nf_api* api) {
  nf_context* untouched_context;
  nf_index* untouched_index;
  std::memset(static_cast<void*>(&untouched_context), 0x5A, sizeof(untouched_context));
  std::memset(static_cast<void*>(&untouched_index), 0x5A, sizeof(untouched_index));
  if (at.index_out != untouched_index) api->index_destroy(at.index_out);
  if (at.context_out != untouched_context) api->context_destroy(at.context_out);
}

Witness::Witness(const Bench& bench, nf_context* context, int32_t metric)
    : bench_(bench), index_(bench.index(context, metric, kDim)), queries_(random_rows(8, 3, kDim)) {
  bench.add(index_.get(), random_rows(9, kIndexRows, kDim), kDim);
  bench.set_live(index_.get(), {std::begin(kDeadRows), std::end(kDeadRows)}, false);
  first_ = state();
}

// Its numbers, all its vectors and all its answers, as bytes.
std::vector<unsigned char> Witness::state() const {
  std::vector<unsigned char> bytes;
  const auto append = [&bytes](const void* from, size_t size) {
    const auto* first = static_cast<const unsigned char*>(from);
    bytes.insert(bytes.end(), first, first + size);
  };
  const nf_index_info info = bench_.info(index_.get());
  append(&info.rows, sizeof(info.rows));
  append(&info.live_rows, sizeof(info.live_rows));

  Caller caller;
  std::vector<int64_t> numbers(static_cast<size_t>(info.rows));
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int64_t>(i);
  std::vector<float> vectors(numbers.size() * kDim);
  nf_matrix out = matrix_of(vectors, kDim);
  bench_.ok(bench_.api->index_read(index_.get(), numbers.data(), &out, &caller.call), "read all", caller);
  append(vectors.data(), vectors.size() * sizeof(float));

  const auto k = static_cast<int32_t>(kIndexRows) + 3;
  const nf_matrix queries = matrix_of(queries_, kDim);
  std::vector<int64_t> rows(static_cast<size_t>(queries.rows * k));
  std::vector<float> distances(rows.size());
  nf_result result = sized<nf_result>();
  result.k = k;
  result.rows = rows.data();
  result.distances = distances.data();
  result.row_stride = k;
  nf_search search = sized<nf_search>();
  search.queries = &queries;
  search.result = &result;
  bench_.ok(bench_.api->index_search(index_.get(), &search, &caller.call), "search all", caller);
  append(rows.data(), rows.size() * sizeof(int64_t));
  append(distances.data(), distances.size() * sizeof(float));
  return bytes;
}

}  // namespace nearfield_test
