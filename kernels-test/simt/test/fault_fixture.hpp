// SPDX-License-Identifier: Apache-2.0
// An index on an emulated device that fails as it is told, and what is to stay as it was.
#pragma once

#include <cstdlib>
#include <cstring>

#include "../../abi/harness.hpp"

namespace nearfield_test {

constexpr int32_t kDim = 20;
constexpr int64_t kRows = 30'000, kQueries = 3;  // a search takes several submissions on an emulated device
constexpr int32_t kK = 5;
constexpr uint64_t kSeed = 11;

inline void fault(const char* text) { setenv("NEARFIELD_SIMT_FAULT", text, 1); }

struct Answers {
  int64_t rows[kQueries * kK];
  float distances[kQueries * kK];
};

// One context with an index of kRows rows, and what a search of it answers.
struct Fixture {
  Bench bench;
  ContextHandle context;
  IndexHandle index;
  std::vector<float> queries = random_rows(kSeed + 1, kQueries, kDim);
  Answers before{};

  explicit Fixture(const Bench& b, const nf_context_desc& desc = sized<nf_context_desc>())
      : bench(b), context(b.context(desc)), index(b.index(context.get(), NF_L2SQ, kDim)) {
    bench.add(index.get(), random_rows(kSeed, kRows, kDim), kDim);
    Caller caller;
    bench.ok(search(&before, caller), "search", caller);
  }

  nf_status add(int64_t rows, Caller& caller) {
    const std::vector<float> data = random_rows(kSeed + 2, rows, kDim);
    const nf_matrix matrix = matrix_of(data, kDim);
    int64_t first = -1;
    return bench.try_add(index.get(), matrix, &first, &caller);
  }

  nf_status search(Answers* out, Caller& caller) {
    const nf_matrix matrix = matrix_of(queries, kDim);
    nf_result result = sized<nf_result>();
    result.rows = out->rows;
    result.distances = out->distances;
    result.row_stride = result.k = kK;
    nf_search request = sized<nf_search>();
    request.queries = &matrix;
    request.result = &result;
    return bench.api->index_search(index.get(), &request, &caller.call);
  }

  // The index answers as it did, and has as many rows.
  void check_unchanged(const std::string& when, int64_t rows = kRows) {
    Caller caller;
    Answers now{};
    bench.ok(search(&now, caller), ("search after " + when).c_str(), caller);
    bench.report->check(std::memcmp(&now, &before, sizeof(now)) == 0, "answers as before " + when);
    bench.report->check(bench.info(index.get()).rows == rows, "rows as before " + when);
  }

  void expect(nf_status status, nf_status wanted, const std::string& what, const Caller& caller,
              const char* said = "") {
    bench.report->check(status == wanted && std::strstr(caller.error.message, said) != nullptr, what,
                        std::string(status_name(status)) + " " + caller.error.message);
  }
};

// The tests of rollbacks.cpp: the N-th allocation, kernel or copy of a call fails, for every N there is.
void rolled_back_add(const Bench& bench);
void rolled_back_live_range(const Bench& bench);
void rolled_back_compaction(const Bench& bench);
void rolled_back_knn(const Bench& bench);

}  // namespace nearfield_test
