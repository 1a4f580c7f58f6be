// SPDX-License-Identifier: Apache-2.0
// nearfield_simt_lists_test CUDA CPU [SEED]: lists of more than 512 entries on emulated GPUs with as much
// shared memory as real ones have: every instance of `flat`, `merge` and `rescore` that large k chooses
// there. Answers are the CPU's, bit for bit: the canonical form leaves no choice. Rows come nearest last, so
// that each of them enters its list and all lists overflow, and at random.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../../abi/harness.hpp"

namespace nearfield_test {
namespace {

constexpr int32_t kDim = 4;
constexpr int64_t kRows = 5000;  // more than the largest list takes

struct Answers {
  std::vector<int64_t> rows;
  std::vector<float> distances;
};

Answers search(const Bench& bench, nf_index* index, const std::vector<float>& queries, int32_t k,
               const std::string& what) {
  const auto entries = queries.size() / kDim * static_cast<size_t>(k);
  Answers answers{std::vector<int64_t>(entries), std::vector<float>(entries)};
  const nf_matrix matrix = matrix_of(queries, kDim);
  nf_result result = sized<nf_result>();
  result.rows = answers.rows.data();
  result.distances = answers.distances.data();
  result.row_stride = result.k = k;
  nf_search request = sized<nf_search>();
  request.queries = &matrix;
  request.result = &result;
  Caller caller;
  bench.ok(bench.api->index_search(index, &request, &caller.call), what.c_str(), caller);
  return answers;
}

void compare(const Bench& cuda, const Bench& cpu, int32_t metric, bool nearest_last) {
  std::vector<float> rows = random_rows(cuda.seed, kRows, kDim);
  for (int64_t i = 0; nearest_last && i < kRows; ++i)
    for (int32_t d = 0; d < kDim; ++d)
      rows[static_cast<size_t>(i * kDim + d)] = static_cast<float>(kRows - i) + static_cast<float>(d);
  const ContextHandle cuda_context = cuda.context(), cpu_context = cpu.context();
  const IndexHandle cuda_index = cuda.index(cuda_context.get(), metric, kDim),
                    cpu_index = cpu.index(cpu_context.get(), metric, kDim);
  cuda.add(cuda_index.get(), rows, kDim);
  cpu.add(cpu_index.get(), rows, kDim);
  const std::vector<int32_t> all_k =
      nearest_last ? std::vector<int32_t>{1024, 2048} : std::vector<int32_t>{600, 1025, 2048};
  for (const int32_t k : all_k)
    // One query, a block of several, the matrix form; a merge of sorted rows takes k rounds a query.
    for (const int64_t batch : {1, nearest_last ? 5 : 17}) {
      const std::string what = "metric " + std::to_string(metric) + ", k " + std::to_string(k) + ", batch " +
                               std::to_string(batch) + (nearest_last ? ", nearest last" : ", random rows");
      const std::vector<float> queries = random_rows(cuda.seed + 1, batch, kDim);
      const Answers got = search(cuda, cuda_index.get(), queries, k, what),
                    wanted = search(cpu, cpu_index.get(), queries, k, what);
      cuda.report->check(got.rows == wanted.rows && got.distances.size() == wanted.distances.size() &&
                             std::memcmp(got.distances.data(), wanted.distances.data(),
                                         got.distances.size() * sizeof(float)) == 0,
                         what);
    }
}

}  // namespace
}  // namespace nearfield_test

int main(int argc, char** argv) {
  using namespace nearfield_test;
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s CUDA CPU [SEED]\n", argv[0]);
    return 2;
  }
  const uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 5;
  std::printf("seed %llu; again with: %s %s %s %llu\n", static_cast<unsigned long long>(seed), argv[0],
              argv[1], argv[2], static_cast<unsigned long long>(seed));
  Report report;
  std::string why;
  const nf_api *const cuda = load(argv[1], &why), *const cpu = load(argv[2], &why);
  report.check(cuda != nullptr && cpu != nullptr, "both libraries", why);
  if (cuda != nullptr && cpu != nullptr)
    for (const int32_t metric : {NF_L2SQ, NF_MANHATTAN})
      for (const bool nearest_last : {false, true})
        compare({cuda, &report, seed}, {cpu, &report, seed}, metric, nearest_last);
  std::printf("%d passed, %d failed\n", report.passed, report.failed);
  return report.failed == 0 ? 0 : 1;
}
