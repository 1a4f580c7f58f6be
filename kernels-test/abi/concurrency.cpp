// SPDX-License-Identifier: Apache-2.0
// Calls of many threads on one context: one at a time, in order, and able to stop waiting.
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "requests.hpp"

namespace nearfield_test {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int32_t kHeldDim = 64;
constexpr int64_t kHeldRows = 20000;

// A search that keeps the context busy until it is told to stop.
class Holder {
 public:
  Holder(const Bench& bench, nf_index* index, int64_t queries)
      : data_(random_rows(1, queries, kHeldDim)),
        matrix_(matrix_of(data_, kHeldDim)),
        rows_(static_cast<size_t>(queries), kPattern),
        distances_(static_cast<size_t>(queries), 7.5f) {
    result_.k = 1;
    result_.row_stride = 1;
    result_.rows = rows_.data();
    result_.distances = distances_.data();
    search_.queries = &matrix_;
    search_.result = &result_;
    caller_.call.cancel = &cancel_;
    thread_ = std::thread([this, &bench, index] {
      status_ = bench.api->index_search(index, &search_, &caller_.call);
      finished_ = true;
    });
  }
  ~Holder() { stop(); }

  bool finished() const { return finished_; }
  nf_status stop() {
    __atomic_store_n(&cancel_, 1, __ATOMIC_RELAXED);
    if (thread_.joinable()) thread_.join();
    return status_;
  }
  bool outputs_untouched() const {
    for (size_t i = 0; i < rows_.size(); ++i)
      if (rows_[i] != kPattern || distances_[i] != 7.5f) return false;
    return true;
  }

 private:
  static constexpr int64_t kPattern = 0x5A5A5A5A;
  std::vector<float> data_;
  nf_matrix matrix_;
  std::vector<int64_t> rows_;
  std::vector<float> distances_;
  nf_result result_ = sized<nf_result>();
  nf_search search_ = sized<nf_search>();
  Caller caller_;
  uint32_t cancel_ = 0;
  nf_status status_ = NF_INTERNAL;
  std::atomic<bool> finished_ = false;
  std::thread thread_;
};

nf_status info_within(const Bench& bench, nf_index* index, std::chrono::nanoseconds timeout) {
  Caller caller;
  caller.call.timeout_ns = timeout.count();
  nf_index_info info = sized<nf_index_info>();
  return bench.api->index_info(index, &info, &caller.call);
}

// Runs `during` while a long search holds the context. A device may be so fast that the search ends first;
// then more queries are asked. `during` answers false when it saw no contention.
template <typename During>
void while_held(const Bench& bench, nf_index* index, const char* name, const During& during) {
  for (int64_t queries = 20000; queries <= 20000 * 64; queries *= 8) {
    Holder holder(bench, index, queries);
    while (!holder.finished() &&
           info_within(bench, index, std::chrono::milliseconds(20)) != NF_DEADLINE_EXCEEDED) {
    }
    if (!holder.finished() && during(holder)) return;
  }
  bench.report->check(false, name, "no search was long enough to wait for");
}

void test_waiting(const Bench& bench, nf_index* index) {
  while_held(bench, index, "time-out while waiting", [&](Holder& holder) {
    const auto start = Clock::now();
    const nf_status status = info_within(bench, index, std::chrono::milliseconds(50));
    const auto waited = Clock::now() - start;
    if (holder.finished()) return false;
    bench.report->check(status == NF_DEADLINE_EXCEEDED && waited >= std::chrono::milliseconds(50),
                        "time-out while waiting", status_name(status));
    return true;
  });
  while_held(bench, index, "cancel while waiting", [&](Holder& holder) {
    Caller caller;
    uint32_t cancel = 0;
    caller.call.cancel = &cancel;
    nf_status status = NF_INTERNAL;
    std::thread waiter([&] {
      nf_index_info info = sized<nf_index_info>();
      status = bench.api->index_info(index, &info, &caller.call);
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    __atomic_store_n(&cancel, 1, __ATOMIC_RELAXED);
    waiter.join();
    if (holder.finished()) return false;
    bench.report->check(status == NF_CANCELLED, "cancel while waiting", status_name(status));
    return true;
  });
  while_held(bench, index, "cancel while running", [&](Holder& holder) {
    const auto start = Clock::now();
    const nf_status status = holder.stop();
    const auto took = Clock::now() - start;
    if (status == NF_OK) return false;
    bench.report->check(status == NF_CANCELLED && holder.outputs_untouched(), "cancel while running",
                        std::string(status_name(status)) + " or outputs written");
    // Dispatches take about 10 ms; the rest is a loaded machine's.
    bench.report->check(took < std::chrono::seconds(5), "cancel while running", "took longer than 5 s");
    return true;
  });
}

// Calls that wait are served in the order in which they came. Threads are started 100 ms apart, and a machine
// can still delay one, so two failures of three are forgiven; an unfair lock passes with (1/24 + ...) < 1/8.
void test_order(const Bench& bench, nf_index* held, nf_index* index) {
  constexpr size_t kCalls = 4;
  for (int attempt = 0; attempt < 3; ++attempt) {
    int64_t first[kCalls] = {};
    while_held(bench, held, "order of waiting calls", [&](Holder& holder) {
      std::vector<std::thread> threads;
      for (size_t i = 0; i < kCalls; ++i) {
        threads.emplace_back([&, i] {
          Caller caller;
          const std::vector<float> row = random_rows(i, 1, kDim);
          const nf_matrix matrix = matrix_of(row, kDim);
          bench.try_add(index, matrix, &first[i], &caller);
        });
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
      const bool contended = !holder.finished();
      holder.stop();
      for (std::thread& thread : threads) thread.join();
      return contended;
    });
    bool ascending = true;
    for (size_t i = 1; i < kCalls; ++i) ascending = ascending && first[i] > first[i - 1];
    if (ascending || attempt == 2) {
      bench.report->check(ascending, "order of waiting calls", "a later call overtook");
      return;
    }
  }
}

// Threads add rows of their own to shared indexes and find them again at once.
void test_many_threads(const Bench& bench, nf_context* context) {
  constexpr int kThreads = 6, kRounds = 30;
  IndexHandle indexes[] = {bench.index(context, NF_L2SQ, kDim), bench.index(context, NF_L2SQ, kDim)};
  std::atomic<int> failures = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      nf_index* const index = indexes[t % 2].get();
      for (int round = 0; round < kRounds; ++round) {
        Caller caller;
        const std::vector<float> row = random_rows(static_cast<uint64_t>(t * 1000 + round), 1, kDim);
        nf_matrix matrix = matrix_of(row, kDim);
        int64_t number = -1, found[2] = {};
        float distances[2] = {};
        nf_result result = sized<nf_result>();
        result.k = 2;
        result.row_stride = 2;
        result.rows = found;
        result.distances = distances;
        nf_search search = sized<nf_search>();
        search.queries = &matrix;
        search.result = &result;
        nf_live dead = sized<nf_live>();
        bool good = bench.try_add(index, matrix, &number, &caller) == NF_OK &&
                    bench.api->index_search(index, &search, &caller.call) == NF_OK && found[0] == number &&
                    distances[0] == 0;
        dead.first = number;
        dead.count = 1;
        good = good && bench.api->index_set_live(index, &dead, &caller.call) == NF_OK &&
               bench.api->index_search(index, &search, &caller.call) == NF_OK && found[0] != number;
        if (!good) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  bench.report->check(failures == 0, "threads on shared indexes",
                      std::to_string(failures) + " rounds failed");
  for (const IndexHandle& index : indexes) {
    const nf_index_info info = bench.info(index.get());
    bench.report->check(info.rows == kThreads / 2 * kRounds && info.live_rows == 0,
                        "threads on shared indexes: rows", std::to_string(info.rows));
  }
}

}  // namespace

void test_concurrency(const Bench& bench) {
  const ContextHandle context = bench.context();
  test_many_threads(bench, context.get());
  const IndexHandle held = bench.index(context.get(), NF_L2SQ, kHeldDim);
  bench.add(held.get(), random_rows(2, kHeldRows, kHeldDim), kHeldDim);
  const IndexHandle other = bench.index(context.get(), NF_L2SQ, kDim);
  test_waiting(bench, held.get());
  test_order(bench, held.get(), other.get());
}

}  // namespace nearfield_test
