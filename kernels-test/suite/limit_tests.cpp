// SPDX-License-Identifier: Apache-2.0
// Data made for the edges of a search's own bookkeeping: limits that workers share, room for candidates. What
// the case names as its kind of data is not used.
#include <cmath>

#include "check.hpp"
#include "index.hpp"
#include "tests.hpp"

namespace nearfield::test {
namespace {

// Row and query (1, 0, ...), which every metric accepts, in the ball where Poincare wants it.
constexpr double kUnit = 0.5;

// A vector whose distance from the query (kUnit, 0, 0, ...) grows with `far`, 0 to 1.
void at_distance(int32_t metric, double far, float* row, int32_t dim) {
  std::fill_n(row, dim, 0.0f);
  if (metric == NF_DOT) {
    row[0] = static_cast<float>(kUnit * (1 - far));
  } else {
    row[0] = static_cast<float>(kUnit * std::cos(far));
    row[1] = static_cast<float>(kUnit * std::sin(far));
  }
}

}  // namespace

// Equal ranks on both sides of a shared limit. Of 32,768 rows or more a worker of two takes blocks of 32
// groups, and looks at the other's limit every 16 groups (native/cpu: flat.cpp, scan.cpp). From block 8 on,
// when both are at work, groups 17 and on of each block hold rows at one and the same smallest distance; in
// odd blocks the first group does, too: the worker of block 9 reaches a limit of that rank while the one of
// block 8 has such rows, with lower numbers, still to come. They are the answer. Who is ahead is up to the
// system: hence several searches.
void test_ties(const Bench& bench) {
  if (bench.backend.info().emulated || bench.backend.info().software)
    throw NotApplicable("an emulated device runs one block after the other");
  const int64_t rows = bench.spec.rows;
  const int32_t dim = bench.spec.dim, metric = bench.spec.metric;
  constexpr int64_t kFar = 8;  // blocks without near rows
  Vectors data(rows, dim, false), queries(bench.spec.batch, dim, false);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t block = row / 1024, group = row % 1024 / 32;
    const bool near = block >= kFar && (group >= 17 || (block % 2 == 1 && group == 0));
    at_distance(metric, near ? 0.25 : 0.75, data.row(row), dim);
  }
  for (int64_t q = 0; q < queries.rows(); ++q) at_distance(metric, 0, queries.row(q), dim);
  constexpr int kSearches = 20;
  constexpr int64_t kBest = kFar * 1024 + 17 * 32;
  for (const int32_t threads : {1, 2, 3}) {
    Index index(bench.backend, bench.backend.context({.threads = threads}), metric, dim);
    index.add(data.matrix());
    for (int i = 0; i < (threads == 1 ? 1 : kSearches); ++i) {
      // A batch takes the product, where there is one; two queries the direct form.
      for (const int64_t batch : {bench.spec.batch, int64_t{2}}) {
        Results results(batch, bench.spec.k);
        index.search(queries.matrix(0, batch), &results);
        for (int64_t q = 0; q < batch; ++q)
          for (int64_t hit = 0; hit < bench.spec.k; ++hit)
            check(results.row(q, hit) == kBest + hit,
                  "%d threads: of equal distances, hit %lld of query %lld is row %lld instead of %lld",
                  threads, static_cast<long long>(hit), static_cast<long long>(q),
                  static_cast<long long>(results.row(q, hit)), static_cast<long long>(kBest + hit));
      }
    }
  }
}

// As many candidates as a query has room for, one less and some more. A forced matrix form has room for 64
// (native/gpu/matrix.cpp) and takes 64 rows at first, all of them candidates, then 256. Of those, `near` are
// nearer to each query but the last than any row before, so that they are its candidates; query i is the i-th
// of them, so that whichever finds no room is missed by one query. The last query has one candidate, the
// first row of the 256.
void test_room(const Bench& bench) {
  const auto& paths = bench.backend.paths();
  if (std::find(paths.begin(), paths.end(), "matrix") == paths.end())
    throw NotApplicable("the backend has no matrix form to force");
  const int64_t rows = bench.spec.rows, last = bench.spec.batch - 1;
  const int32_t dim = bench.spec.dim, metric = bench.spec.metric;
  constexpr int64_t kFirst = 64;  // rows of the first window
  const auto near_row = [](int64_t i) { return 0.5 - static_cast<double>(i) / 1024; };
  for (const int64_t near : {63, 64, 65, 66, 160}) {
    Vectors data(rows, dim, false), queries(bench.spec.batch, dim, false);
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t i = row - kFirst - 1;
      const bool is_near = i >= 0 && i < near;
      at_distance(metric, is_near ? near_row(i) : row < kFirst ? 0.8 : 0.9, data.row(row), dim);
      if (row < kFirst) data.row(row)[2] = 0.1f;  // a little towards the last query
    }
    for (int64_t q = 0; q < last; ++q) at_distance(metric, near_row(q), queries.row(q), dim);
    std::fill_n(queries.row(last), dim, 0.0f);
    std::fill_n(data.row(kFirst), dim, 0.0f);
    queries.row(last)[2] = data.row(kFirst)[2] = static_cast<float>(kUnit);
    const Problem problem(metric, std::move(data), std::move(queries));
    Index index(bench.backend, bench.backend.context({.path = "matrix"}), metric, dim);
    index.add(problem.data().matrix());
    const auto search = [&](const char* what, const SearchOptions& options, const Keep& keep) {
      Results results(bench.spec.batch, bench.spec.k);
      index.search(problem.queries().matrix(), &results, options);
      try {
        problem.check_ranking(results, keep);
      } catch (const Failure& failure) {
        throw Failure(std::to_string(near) + " candidates, " + what + ": " + failure.what());
      }
    };
    search("no filter", {}, {});
    // For all but the last: not every row, so that some miss their nearest, and not the one that the last
    // must find.
    const auto keep = [](int64_t row) { return row != kFirst && row % 4 != 1; };
    Filters filters;
    filters.add_bits(bitset(rows, keep));
    std::vector<int32_t> of_query(static_cast<size_t>(bench.spec.batch), 0);
    of_query.back() = -1;
    filters.per_query(of_query);
    search("a filter", {.filters = &filters}, [&](int64_t q, int64_t row) { return q == last || keep(row); });
  }
}

}  // namespace nearfield::test
