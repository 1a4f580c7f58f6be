// SPDX-License-Identifier: Apache-2.0
// Stateless knn in steps: what may lie between them, how a work ends, and what is no work at all. That the
// answer has the same bits is the suite's to check.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "harness.hpp"

namespace nearfield_test {
namespace {

constexpr int32_t kDim = 8, kK = 3;
constexpr int64_t kRows = 900, kQueries = 200;  // two slices
constexpr int64_t kUntouched = -5;

// A request in pieces of `piece` rows, and the step it is at.
class Run {
 public:
  Run(const Bench& bench, nf_context* context, int64_t piece)
      : bench_(bench),
        context_(context),
        piece_(piece),
        rows_(random_rows(bench.seed, kRows, kDim)),
        queries_(random_rows(bench.seed + 1, kQueries, kDim)),
        found_(static_cast<size_t>(kQueries * kK), kUntouched),
        distances_(found_.size(), -1) {
    step_.budget_ns = 1;
    request_.metric = NF_L2SQ;
    result_.k = result_.row_stride = kK;
    request_.dataset_rows = kRows;
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  nf_status next(Caller* caller) {
    const nf_matrix queries = matrix_of(queries_, kDim);
    nf_matrix dataset = matrix_of(rows_, kDim);
    dataset.cols = dim_;
    // Where the position is none, the rows are those from the first on: it must be refused before they count.
    const int64_t first = step_.position <= kRows && step_.position >= 0 ? step_.position : 0;
    dataset.data = rows_.data() + first * kDim;
    dataset.rows = std::min(piece_, kRows - first);
    request_.queries = &queries;
    request_.dataset = &dataset;
    request_.result = &result_;
    result_.rows = found_.data();
    result_.distances = distances_.data();
    return bench_.api->knn(context_, &request_, &step_, &caller->call);
  }
  void steps(int count) {
    for (int i = 0; i < count; ++i) {
      Caller caller;
      bench_.ok(next(&caller), "a step of knn", caller);
      bench_.report->check(step_.done == 0 && step_.work != nullptr && is_untouched(), "a step of knn",
                           "is the last, or wrote a result");
    }
  }
  void finish(const char* what) {
    Caller caller;
    nf_status status = NF_OK;
    int left = 100;
    for (step_.done = 0; step_.done == 0 && status == NF_OK && left > 0; --left) status = next(&caller);
    bench_.ok(status, what, caller);
    bench_.report->check(left > 0 && step_.work == nullptr && !is_untouched(), what, "does not end well");
  }
  // The next step fails so, changes nothing, and the work is gone.
  void fails(nf_status expected, const char* words, const char* what, Caller* caller) {
    const nf_step before = step_;
    const std::vector<int64_t> found = found_;
    const nf_status status = next(caller);
    bench_.report->check(status == expected && std::strstr(caller->error.message, words) != nullptr, what,
                         std::string(status_name(status)) + " " + caller->error.message);
    bench_.report->check(std::memcmp(&before, &step_, sizeof(step_)) == 0 && found == found_, what,
                         "a step that failed wrote its outputs");
  }
  void fails(nf_status expected, const char* words, const char* what) {
    Caller caller;
    fails(expected, words, what, &caller);
  }
  void is_gone(const char* what) { fails(NF_INVALID_ARGUMENT, "no work", what); }

  bool is_untouched() const { return std::count(found_.begin(), found_.end(), kUntouched) == kQueries * kK; }
  bool operator==(const Run& other) const {
    return found_ == other.found_ &&
           std::memcmp(distances_.data(), other.distances_.data(), distances_.size() * sizeof(float)) == 0;
  }
  nf_step& step() { return step_; }
  nf_knn& request() { return request_; }
  nf_result& result() { return result_; }
  std::vector<float>& rows() { return rows_; }
  std::vector<float>& queries() { return queries_; }
  int32_t& dim() { return dim_; }

 private:
  const Bench& bench_;
  nf_context* context_;
  int64_t piece_;
  int32_t dim_ = kDim;
  std::vector<float> rows_, queries_;
  std::vector<int64_t> found_;
  std::vector<float> distances_;
  nf_step step_ = sized<nf_step>();
  nf_knn request_ = sized<nf_knn>();
  nf_result result_ = sized<nf_result>();
};

void test_between(const Bench& bench, nf_context* context) {
  Run whole(bench, context, kRows);
  whole.step().budget_ns = 0;
  whole.finish("knn at once");
  // Two at a time, an index served between their steps, a step without a budget, other structs.
  const IndexHandle index = bench.index(context, NF_L2SQ, kDim);
  Run first(bench, context, 100), second(bench, context, 17);
  for (int i = 0; i < 5; ++i) {
    first.steps(1);
    second.steps(1);
    bench.add(index.get(), random_rows(3, 2, kDim), kDim);
  }
  second.step().budget_ns = 0;
  second.finish("knn in steps, the last ones without a budget");
  first.finish("knn in steps");
  bench.report->check(whole == first && whole == second, "knn in steps beside others", "has other bits");
  first.fails(NF_INVALID_ARGUMENT, "position", "a step after the last");
}

void test_failures(const Bench& bench, nf_context* context) {
  const auto refused = [&](const char* what, const char* words, int steps, const auto& change) {
    Run run(bench, context, 300);
    run.steps(steps);
    change(run);
    run.fails(NF_INVALID_ARGUMENT, words, what);
    run.is_gone(what);
  };
  constexpr int kFilled = 3;  // all rows are taken, no query has met them
  refused("another k", "k=2", 1, [](Run& run) { run.result().k = 2; });
  refused("another metric", "metric=3", 1, [](Run& run) { run.request().metric = NF_DOT; });
  refused("fewer rows", "dataset_rows=899", 1, [](Run& run) { run.request().dataset_rows = kRows - 1; });
  refused("fewer queries", "queries->rows=199", 1,
          [](Run& run) { run.queries().resize(static_cast<size_t>((kQueries - 1) * kDim)); });
  refused("another dimension", "cols", 1, [](Run& run) { run.dim() = kDim - 1; });
  nf_filter all = sized<nf_filter>(), none = sized<nf_filter>();
  none.kind = NF_BITSET;
  refused("NF_ALL for no filter, and a bitset", "filter->kind=1", 1, [&](Run& run) {
    run.request().filter = &all;
    run.steps(1);
    run.request().filter = &none;
  });
  refused("a budget of -1", "budget_ns=-1", 1, [](Run& run) { run.step().budget_ns = -1; });
  refused("another position", "position=299", 1, [](Run& run) { run.step().position = 299; });
  refused("a row that is no vector", "dataset row 713, dimension 2 is NaN", 2,
          [](Run& run) { run.rows()[713 * kDim + 2] = std::numeric_limits<float>::quiet_NaN(); });
  // Nothing that has been checked is trusted to have stayed.
  refused("a query that was a vector", "query 3, dimension 1 is infinity", kFilled,
          [](Run& run) { run.queries()[3 * kDim + 1] = std::numeric_limits<float>::infinity(); });

  // Row numbers of a filter that are turned about between steps: the answer is nothing's, and no memory is
  // touched that is not the request's.
  std::vector<int64_t> listed(400);
  for (size_t i = 0; i < listed.size(); ++i) listed[i] = static_cast<int64_t>(2 * i);
  nf_filter filter = sized<nf_filter>();
  filter.kind = NF_ROWS;
  filter.rows = listed.data();
  filter.count = static_cast<int64_t>(listed.size());
  Run turned(bench, context, 300);
  turned.request().filter = &filter;
  turned.steps(kFilled - 1);
  std::reverse(listed.begin(), listed.end());
  listed[7] = -4;
  listed[9] = int64_t{1} << 50;
  turned.finish("a filter that changes between steps");
}

void test_giving_up(const Bench& bench, nf_context* context) {
  Run run(bench, context, 300);
  run.steps(2);
  Caller caller;
  const uint32_t cancel = 1;
  caller.call.cancel = &cancel;
  run.fails(NF_CANCELLED, "cancelled", "a step with the cancel word raised", &caller);
  run.is_gone("a work that was given up");
  Run late(bench, context, 300);
  late.steps(2);
  Caller hurried;
  hurried.call.timeout_ns = 1;
  late.fails(NF_DEADLINE_EXCEEDED, "1 ns", "a step that is late", &hurried);
  late.is_gone("a work that was late");

  // The memory is the context's again: as many works as fit, then one for each that is given up.
  nf_context_desc small = sized<nf_context_desc>();
  small.memory_limit = 256 << 10;
  const ContextHandle narrow = bench.context(small);
  std::vector<std::unique_ptr<Run>> runs;
  nf_status status = NF_OK;
  while (status == NF_OK && runs.size() < 64) {
    Caller first;
    runs.push_back(std::make_unique<Run>(bench, narrow.get(), 300));
    status = runs.back()->next(&first);
  }
  // Its limit is of each index alone.
  if (status == NF_OK && std::strcmp(bench.api->backend, "planted") == 0) return;
  bench.report->check(status == NF_RESOURCE_EXHAUSTED && runs.size() > 1, "works of a small context",
                      status_name(status));
  for (int round = 0; round < 3; ++round) {
    Caller last, first;
    last.call.cancel = &cancel;
    runs.front()->fails(NF_CANCELLED, "cancelled", "giving up", &last);
    runs.erase(runs.begin());
    runs.push_back(std::make_unique<Run>(bench, narrow.get(), 300));
    bench.ok(runs.back()->next(&first), "a work in the place of one that was given up", first);
  }
}

// A search that goes on until it is told to stop, or for a second of this machine.
class Holder {
 public:
  Holder(const Bench& bench, nf_index* index) : bench_(bench), index_(index) {
    caller_.call.cancel = &stop_;
    thread_ = std::thread([this] { search(); });
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() {
    __atomic_store_n(&stop_, 1, __ATOMIC_RELAXED);
    thread_.join();
  }
  // It has the turn: another call does not get it.
  bool is_inside() const {
    Caller probe;
    probe.call.timeout_ns = 10'000'000;
    nf_index_info info = sized<nf_index_info>();
    return bench_.api->index_info(index_, &info, &probe.call) == NF_DEADLINE_EXCEEDED;
  }
  bool is_done() const { return __atomic_load_n(&done_, __ATOMIC_ACQUIRE) != 0; }

 private:
  void search() {
    const nf_matrix queries = matrix_of(vectors_, kDim);
    std::vector<int64_t> found(kQueries);
    std::vector<float> distances(found.size());
    nf_result result = sized<nf_result>();
    result.k = 1;
    result.row_stride = 1;
    result.rows = found.data();
    result.distances = distances.data();
    nf_search search = sized<nf_search>();
    search.queries = &queries;
    search.result = &result;
    bench_.api->index_search(index_, &search, &caller_.call);
    __atomic_store_n(&done_, 1, __ATOMIC_RELEASE);
  }

  static constexpr int64_t kQueries = 400'000;
  const Bench& bench_;
  nf_index* index_;
  const std::vector<float> vectors_ = random_rows(8, kQueries, kDim);
  Caller caller_;
  uint32_t stop_ = 0, done_ = 0;
  std::thread thread_;
};

// Giving up does not wait for a call that has the turn; the memory is free with the next call.
void test_giving_up_in_between(const Bench& bench) {
  const ContextHandle context = bench.context();
  const IndexHandle index = bench.index(context.get(), NF_L2SQ, kDim);
  bench.add(index.get(), random_rows(7, 20'000, kDim), kDim);
  bool was_inside = false;
  // A fast device may be done before it was seen.
  for (int round = 0; round < 10 && !was_inside; ++round) {
    Run run(bench, context.get(), 300);
    run.steps(4);
    {
      const Holder holder(bench, index.get());
      while (!holder.is_inside() && !holder.is_done()) {
      }
      Caller caller;
      const uint32_t cancel = 1;
      caller.call.cancel = &cancel;
      run.fails(NF_CANCELLED, "cancelled", "giving up while another call has the turn", &caller);
      was_inside = holder.is_inside();
    }
    run.is_gone("a work that was given up while another call had the turn");
  }
  bench.report->check(was_inside, "giving up while another call has the turn", "waits for it");
}

void test_foreign_work(const Bench& bench, nf_context* context) {
  // Of another context, of nobody, of one that is done: refused, and the others are not disturbed.
  const ContextHandle other = bench.context();
  Run mine(bench, context, 300), theirs(bench, other.get(), 300);
  mine.steps(1);
  theirs.steps(1);
  Run astray(bench, context, 300);
  astray.step() = theirs.step();
  astray.is_gone("a work of another context");
  int64_t memory[64] = {};
  for (void* work : {static_cast<void*>(memory), static_cast<void*>(context),
                     reinterpret_cast<void*>(uintptr_t{1}), reinterpret_cast<void*>(~uintptr_t{0})}) {
    astray.step().work = work;
    astray.is_gone("a pointer of nobody");
  }
  Run done(bench, context, 300);
  done.steps(1);
  void* const of_done = done.step().work;
  done.finish("knn");
  astray.step().work = of_done;
  astray.is_gone("a work that is done");
  mine.finish("a work beside foreign ones");
  theirs.finish("a work that was tried elsewhere");
  bench.report->check(mine == theirs, "works of two contexts", "differ");
}

// A context's place may be another's soon; its works' tokens are nobody's for good.
void test_destroyed_context(const Bench& bench) {
  for (int round = 0; round < 8; ++round) {
    nf_step left{};
    {
      const ContextHandle context = bench.context();
      Run run(bench, context.get(), 300);
      run.steps(1);
      left = run.step();
    }
    const ContextHandle context = bench.context();
    Run own(bench, context.get(), 300), astray(bench, context.get(), 300);
    own.steps(1);
    astray.step() = left;
    astray.is_gone("a work of a context that was destroyed");
    own.finish("a work beside one of a destroyed context");
  }
}

// A context is destroyed, or a thread goes, with works under way: their memory goes too, as a sanitizer sees.
void test_left_behind(const Bench& bench) {
  ContextHandle context = bench.context();
  const IndexHandle index = bench.index(context.get(), NF_L2SQ, kDim);
  Run filling(bench, context.get(), 100), searching(bench, context.get(), 300);
  filling.steps(2);
  std::thread([&] { searching.steps(4); }).join();
  context.reset();
}

void test_progress(const Bench& bench, nf_context* context) {
  Run run(bench, context, 300);
  for (int64_t rows = 300; rows <= kRows; rows += 300) {
    Caller caller;
    int64_t progress[3] = {};
    caller.call.progress = progress;
    bench.ok(run.next(&caller), "a step of knn", caller);
    bench.report->check(progress[0] == 2 && progress[1] == rows && progress[2] == kRows,
                        "progress of knn in steps",
                        std::to_string(progress[1]) + " of " + std::to_string(progress[2]));
  }
  run.finish("knn in steps");
}

void test_odd_shapes(const Bench& bench, nf_context* context) {
  nf_step step = sized<nf_step>();
  Caller caller;
  const std::vector<float> vectors = random_rows(5, 10, kDim);
  nf_matrix queries = matrix_of(vectors, kDim), dataset = matrix_of(vectors, kDim);
  std::vector<int64_t> found(10 * kK, kUntouched);
  std::vector<float> distances(found.size());
  nf_result result = sized<nf_result>();
  result.k = result.row_stride = kK;
  result.rows = found.data();
  result.distances = distances.data();
  nf_knn request = sized<nf_knn>();
  request.metric = NF_L2SQ;
  request.queries = &queries;
  request.dataset = &dataset;
  request.result = &result;
  dataset.rows = 0;
  step.budget_ns = 1;
  bench.ok(bench.api->knn(context, &request, &step, &caller.call), "knn of no rows, in steps", caller);
  bench.report->check(
      step.done == 1 && step.work == nullptr && std::count(found.begin(), found.end(), -1) == 30,
      "knn of no rows, in steps");
  // Without queries the rows are checked all the same.
  step = sized<nf_step>();
  dataset.rows = 10;
  queries.rows = 0;
  bench.ok(bench.api->knn(context, &request, &step, &caller.call), "knn of no queries, in steps", caller);
  bench.report->check(step.done == 1 && step.position == 10, "knn of no queries, in steps");
}

}  // namespace

void test_knn_steps(const Bench& bench) {
  const ContextHandle context = bench.context();
  test_between(bench, context.get());
  test_failures(bench, context.get());
  test_giving_up(bench, context.get());
  test_giving_up_in_between(bench);
  test_foreign_work(bench, context.get());
  test_destroyed_context(bench);
  test_progress(bench, context.get());
  test_left_behind(bench);
  test_odd_shapes(bench, context.get());
}

}  // namespace nearfield_test
