// SPDX-License-Identifier: Apache-2.0
// k-means in steps: what may lie between them, and how a work ends. That the answer has the same bits is the
// suite's to check.
#include <algorithm>
#include <cstring>
#include <limits>

#include "harness.hpp"

namespace nearfield_test {
namespace {

constexpr int32_t kDim = 8, kClusters = 5;
constexpr int64_t kRows = 400;
constexpr int32_t kUntouched = -5;

class Run {
 public:
  Run(const Bench& bench, nf_context* context, int64_t sample)
      : bench_(bench), context_(context), rows_(random_rows(bench.seed, kRows, kDim)) {
    request_.metric = NF_L2SQ;
    request_.clusters = kClusters;
    request_.iterations = 3;
    request_.sample = sample;
    step_.budget_ns = 1;
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  nf_status next(Caller* caller) {
    nf_matrix data = matrix_of(rows_, kDim);
    data.rows = count_;
    request_.data = &data;
    request_.weights = weights_.empty() ? nullptr : weights_.data();
    request_.centroids = centroids_.data();
    request_.labels = labels_.data();
    return bench_.api->kmeans(context_, &request_, &step_, &caller->call);
  }
  void steps(int count) {
    for (int i = 0; i < count; ++i) {
      Caller caller;
      bench_.ok(next(&caller), "a step of kmeans", caller);
      bench_.report->check(step_.done == 0 && step_.work != nullptr && is_untouched(), "a step of kmeans",
                           "is the last, or wrote a result");
    }
  }
  void finish(const char* what) {
    Caller caller;
    nf_status status = NF_OK;
    int left = 1000;
    for (step_.done = 0; step_.done == 0 && status == NF_OK && left > 0; --left) status = next(&caller);
    bench_.ok(status, what, caller);
    bench_.report->check(left > 0 && step_.work == nullptr && !is_untouched(), what, "does not end well");
  }
  // The next step fails so, changes nothing, and the work is gone.
  void fails(nf_status expected, const char* words, const char* what, Caller* caller) {
    const nf_step before = step_;
    const nf_status status = next(caller);
    bench_.report->check(status == expected && std::strstr(caller->error.message, words) != nullptr, what,
                         std::string(status_name(status)) + " " + caller->error.message);
    bench_.report->check(std::memcmp(&before, &step_, sizeof(step_)) == 0 && is_untouched(), what,
                         "a step that failed wrote its outputs");
  }
  void fails(nf_status expected, const char* words, const char* what) {
    Caller caller;
    fails(expected, words, what, &caller);
  }
  void is_gone(const char* what) { fails(NF_INVALID_ARGUMENT, "no work", what); }

  bool is_untouched() const {
    return std::count(labels_.begin(), labels_.end(), kUntouched) == std::ssize(labels_);
  }
  bool operator==(const Run& other) const {
    return labels_ == other.labels_ && centroids_ == other.centroids_;
  }
  nf_step& step() { return step_; }
  nf_kmeans& request() { return request_; }
  std::vector<float>& rows() { return rows_; }
  std::vector<float>& weights() { return weights_; }
  int64_t& count() { return count_; }

 private:
  const Bench& bench_;
  nf_context* context_;
  int64_t count_ = kRows;
  std::vector<float> rows_, weights_;
  std::vector<float> centroids_ = std::vector<float>(kClusters * kDim, -1);
  std::vector<int32_t> labels_ = std::vector<int32_t>(kRows, kUntouched);
  nf_step step_ = sized<nf_step>();
  nf_kmeans request_ = sized<nf_kmeans>();
};

// Two at a time, an index served between their steps, a step without a budget.
void test_between(const Bench& bench, nf_context* context) {
  Run whole(bench, context, 0);
  whole.step().budget_ns = 0;
  whole.finish("kmeans at once");
  const IndexHandle index = bench.index(context, NF_L2SQ, kDim);
  Run first(bench, context, 0), second(bench, context, 0);
  for (int i = 0; i < 5; ++i) {
    first.steps(1);
    second.steps(1);
    bench.add(index.get(), random_rows(3, 2, kDim), kDim);
  }
  second.step().budget_ns = 0;
  second.finish("kmeans in steps, the last ones without a budget");
  first.finish("kmeans in steps");
  bench.report->check(whole == first && whole == second, "kmeans in steps beside others", "has other bits");
  Caller caller;
  bench.report->check(first.next(&caller) == NF_INVALID_ARGUMENT, "a step after the last", "is not refused");
}

void test_failures(const Bench& bench, nf_context* context) {
  const auto refused = [&](const char* what, const char* words, const auto& change) {
    Run run(bench, context, 0);
    run.steps(3);
    change(run);
    run.fails(NF_INVALID_ARGUMENT, words, what);
    run.is_gone(what);
  };
  refused("another metric", "metric=3", [](Run& run) { run.request().metric = NF_DOT; });
  refused("fewer rows", "data->rows=399", [](Run& run) { run.count() = kRows - 1; });
  refused("fewer clusters", "clusters=4", [](Run& run) { run.request().clusters = kClusters - 1; });
  refused("more iterations", "iterations=4", [](Run& run) { run.request().iterations = 4; });
  refused("another seed", "seed=1", [](Run& run) { run.request().seed = 1; });
  refused("a sample", "sample=10", [](Run& run) { run.request().sample = 10; });
  refused("balance", "balanced=1", [](Run& run) { run.request().balanced = 1; });
  refused("weights", "weights", [](Run& run) { run.weights().assign(kRows, 1.0f); });
  refused("a budget of -1", "budget_ns=-1", [](Run& run) { run.step().budget_ns = -1; });
  refused("another position", "position=7", [](Run& run) { run.step().position = 7; });

  // Where rows come to be labelled, nothing that has been checked is trusted to have stayed.
  Run changed(bench, context, 20);
  changed.steps(3);
  changed.rows()[399 * kDim + 2] = std::numeric_limits<float>::quiet_NaN();
  Caller caller;
  nf_status status = NF_OK;
  for (int left = 1000; changed.step().done == 0 && status == NF_OK && left > 0; --left)
    status = changed.next(&caller);
  bench.report->check(status == NF_INVALID_ARGUMENT && changed.is_untouched() &&
                          std::strstr(caller.error.message, "data row 399, dimension 2 is NaN") != nullptr,
                      "a row that was a vector",
                      std::string(status_name(status)) + " " + caller.error.message);
  changed.is_gone("a work whose rows have changed");
}

void test_giving_up(const Bench& bench, nf_context* context) {
  Run run(bench, context, 0);
  run.steps(4);
  Caller caller;
  const uint32_t cancel = 1;
  caller.call.cancel = &cancel;
  run.fails(NF_CANCELLED, "cancelled", "a step of kmeans with the cancel word raised", &caller);
  run.is_gone("a clustering that was given up");
  Run late(bench, context, 0);
  late.steps(2);
  Caller hurried;
  hurried.call.timeout_ns = 1;
  late.fails(NF_DEADLINE_EXCEEDED, "1 ns", "a step of kmeans that is late", &hurried);
  late.is_gone("a clustering that was late");
  // Its device memory is the context's own, and small: a byte is too little.
  nf_context_desc desc = sized<nf_context_desc>();
  desc.memory_limit = 1;
  const ContextHandle narrow = bench.context(desc);
  if (std::strcmp(bench.api->backend, "planted") == 0) return;  // its limit is of indexes with one
  Run large(bench, narrow.get(), 0);
  Caller first;
  nf_status status = large.next(&first);
  for (int left = 100; status == NF_OK && left > 0; --left) status = large.next(&first);
  bench.report->check(status == NF_RESOURCE_EXHAUSTED && large.is_untouched(), "kmeans in a byte of memory",
                      status_name(status));
  large.is_gone("a clustering without memory");
}

}  // namespace

void test_kmeans_steps(const Bench& bench) {
  const ContextHandle context = bench.context();
  test_between(bench, context.get());
  test_failures(bench, context.get());
  test_giving_up(bench, context.get());
}

}  // namespace nearfield_test
