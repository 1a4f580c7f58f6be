// SPDX-License-Identifier: Apache-2.0
// Loading a backend, counting checks, and short forms of the ABI's calls.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nearfield/nearfield.h"

namespace nearfield_test {

struct Report {
  int passed = 0;
  int failed = 0;
  // Prints `what` with the details when it does not hold.
  void check(bool holds, const std::string& what, const std::string& details = "");
};

template <typename Struct>
Struct sized() {
  Struct made{};
  made.struct_size = sizeof(Struct);
  return made;
}

// A call block with its error, at addresses that stay.
struct Caller {
  nf_error error = sized<nf_error>();
  nf_call call = sized<nf_call>();
  Caller() { call.error = &error; }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
};

const char* status_name(nf_status status);

// nf_get_api of a library, or NULL with the reason. The library stays loaded.
const nf_api* load(const char* file, std::string* why);

struct ContextDeleter {
  const nf_api* api;
  void operator()(nf_context* context) const { api->context_destroy(context); }
};
struct IndexDeleter {
  const nf_api* api;
  void operator()(nf_index* index) const { api->index_destroy(index); }
};
using ContextHandle = std::unique_ptr<nf_context, ContextDeleter>;
using IndexHandle = std::unique_ptr<nf_index, IndexDeleter>;

// What a test needs; every helper reports its own failures.
struct Bench {
  const nf_api* api;
  Report* report;
  uint64_t seed;

  ContextHandle context(const nf_context_desc& desc = sized<nf_context_desc>()) const;
  IndexHandle index(nf_context* context, int32_t metric, int32_t dim) const;
  // Row-major, no padding.
  void add(nf_index* index, const std::vector<float>& rows, int32_t dim, uint32_t flags = 0) const;
  nf_status try_add(nf_index* index, const nf_matrix& rows, int64_t* first, Caller* caller,
                    uint32_t flags = 0) const;
  void set_live(nf_index* index, const std::vector<int64_t>& rows, bool live) const;
  void set_live_range(nf_index* index, int64_t first, int64_t count, bool live) const;
  nf_index_info info(nf_index* index) const;
  // The status must be NF_OK; the message is printed otherwise.
  bool ok(nf_status status, const char* what, const Caller& caller) const;
};

nf_index_desc flat(int32_t metric, int32_t dim);
nf_matrix matrix_of(const std::vector<float>& rows, int64_t dim);
std::vector<float> random_rows(uint64_t seed, int64_t rows, int64_t dim);

// The parts of the test.
void test_arguments(const Bench& bench);
void test_lifecycle(const Bench& bench);
void test_concurrency(const Bench& bench);
void test_steps(const Bench& bench);
void test_knn_steps(const Bench& bench);
void test_kmeans_steps(const Bench& bench);
void test_knn_ahead(const Bench& bench);
void test_splits(const Bench& bench);
void test_training(const Bench& bench);
void test_lists(const Bench& bench);
void test_quantize(const Bench& bench);
void test_modes(const Bench& bench);
void test_fuzz(const Bench& bench, int rounds);

}  // namespace nearfield_test
