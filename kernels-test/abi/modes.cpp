// SPDX-License-Identifier: Apache-2.0
// Answers have the same bits in whatever floating-point mode the caller's thread is, and it stays in that
// mode.
#include <cmath>
#include <cstring>

#include "float_mode.hpp"
#include "harness.hpp"

namespace nearfield_test {
namespace {

constexpr int64_t kRows = 300, kQueries = 3;
constexpr int32_t kDim = 9, kK = 10;

// Results that flushing or rounding upwards would change: coordinates that are subnormal, coordinates whose
// squares are, and ordinary ones.
std::vector<float> mixed_rows(uint64_t seed, int64_t count) {
  std::vector<float> rows = random_rows(seed, count, kDim);
  const int exponents[] = {-130, -66, 0};
  for (size_t i = 0; i < rows.size(); ++i)
    rows[i] = std::ldexp(rows[i], exponents[i / static_cast<size_t>(kDim) % 3]);
  return rows;
}

struct Answer {
  std::vector<int64_t> rows = std::vector<int64_t>(static_cast<size_t>(kQueries * kK));
  std::vector<float> distances = std::vector<float>(static_cast<size_t>(kQueries * kK));
  std::vector<int32_t> count = std::vector<int32_t>(static_cast<size_t>(kQueries));

  bool operator==(const Answer& other) const {
    return rows == other.rows && count == other.count &&
           std::memcmp(distances.data(), other.distances.data(), distances.size() * sizeof(float)) == 0;
  }
};

Answer answer(const Bench& bench, int32_t metric, const std::vector<float>& data,
              const std::vector<float>& queries) {
  Answer to;
  nf_context_desc desc = sized<nf_context_desc>();
  desc.threads = 2;  // one of the pool's own
  const ContextHandle context = bench.context(desc);
  const IndexHandle index = bench.index(context.get(), metric, kDim);
  bench.add(index.get(), data, kDim);
  const nf_matrix of_queries = matrix_of(queries, kDim);
  nf_result result = sized<nf_result>();
  result.k = kK;
  result.row_stride = kK;
  result.rows = to.rows.data();
  result.distances = to.distances.data();
  result.count = to.count.data();
  nf_search search = sized<nf_search>();
  search.queries = &of_queries;
  search.max_distance = NAN;
  search.result = &result;
  Caller caller;
  bench.ok(bench.api->index_search(index.get(), &search, &caller.call), "search", caller);
  return to;
}

// The modes a caller may be in: all that flushes, or another rounding.
std::vector<nearfield::FloatMode> other_modes() {
#if defined(__x86_64__) || defined(_M_X64)
  return {nearfield::kDefaultFloatMode | 0x8040,
          nearfield::kDefaultFloatMode | 0x4000};  // FTZ + DAZ; upwards
#elif defined(__aarch64__)
  return {nearfield::FloatMode{1} << 24, nearfield::FloatMode{1} << 22};  // FZ; upwards
#else
  return {FE_UPWARD};
#endif
}

}  // namespace

void test_modes(const Bench& bench) {
  using nearfield::kModeBits;
  for (const int32_t metric : {NF_L2SQ, NF_DOT, NF_MANHATTAN}) {
    const std::vector<float> data = mixed_rows(bench.seed + 7, kRows);
    // Among the subnormal rows, the small ones and the ordinary ones.
    const std::vector<float> queries = mixed_rows(bench.seed + 8, kQueries);
    const Answer expected = answer(bench, metric, data, queries);
    const nearfield::FloatMode before = nearfield::float_mode();
    for (const nearfield::FloatMode mode : other_modes()) {
      nearfield::set_float_mode(mode);
      const Answer found = answer(bench, metric, data, queries);
      const nearfield::FloatMode after = nearfield::float_mode();
      nearfield::set_float_mode(before);
      const std::string where = "metric " + std::to_string(metric) + ", mode " + std::to_string(mode);
      bench.report->check(found == expected, "the caller's floating-point mode changes the answer", where);
      bench.report->check((after & kModeBits) == (mode & kModeBits),
                          "a call leaves another floating-point mode behind", where);
    }
  }
}

}  // namespace nearfield_test
