// SPDX-License-Identifier: Apache-2.0
// An index with lists and a flat one, through the same changes, and what must be true of both.
#pragma once

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "check.hpp"
#include "index.hpp"
#include "tests.hpp"

namespace nearfield::test {

class Twins {
 public:
  Twins(const Bench& bench, const ContextOptions& path, int32_t scan_dtype)
      : bench_(bench),
        context_(bench.backend.context(path)),
        name_(path.path + (scan_dtype == NF_I8 ? " codes" : " rows")),
        listed_(bench.backend, context_, bench.spec.metric, bench.spec.dim, 0, scan_dtype, 0, NF_IVF),
        plain_(bench.backend, context_, bench.spec.metric, bench.spec.dim) {}

  void add(const nf_matrix& rows, uint32_t flags = 0) {
    listed_.add(rows, flags);
    plain_.add(rows, flags);
  }
  void set_live(std::span<const int64_t> rows, bool live) {
    listed_.set_live(rows, live);
    plain_.set_live(rows, live);
  }
  void replace(std::span<const int64_t> rows, const nf_matrix& data) {
    listed_.replace(rows, data);
    plain_.replace(rows, data);
  }
  void compact() {
    const std::vector<int64_t> numbers = listed_.compact();
    check(numbers == plain_.compact(), "%s: a compaction gives other numbers than a flat index's",
          name_.c_str());
  }
  Index& listed() { return listed_; }
  const char* name() const { return name_.c_str(); }

  // All kinds of searches; on a slow device only with `is_whole`.
  void compare(const char* when, bool is_whole = false) {
    const std::string what = text("%s, %s: lists and flat", name_.c_str(), when);
    const int32_t lists = listed_.info().lists;
    compare(what + ", all lists", {.probes = lists});
    if (!is_whole && bench_.backend.is_slow()) return;
    compare(what + ", exact", {.flags = NF_EXACT});
    if (lists != 0) check_targets(what, lists);
    Filters half, few;
    half.add_bits(bitset(listed_.info().rows, [](int64_t row) { return row % 3 != 1; }));
    few.add_rows({listed_.info().rows / 2, listed_.info().rows - 1});
    compare(what + ", filtered", {.filters = &half, .probes = lists});
    compare(what + ", filtered and exact", {.filters = &half, .flags = NF_EXACT});
    compare(what + ", few rows", {.filters = &few, .probes = std::min(lists, 1)});
    compare_stored(what);
    if (lists == 0) return;
    for (const float oversample : {1.5f, 4.0f}) {
      compare_capped(what, {.max_oversample = oversample, .probes = (lists + 1) / 2});
      compare_capped(what, {.max_oversample = oversample, .target_recall = 0.9f});
    }
    const Index::Lists of = listed_.read_lists();
    check_nearest(what, of);
    for (const int32_t probes : {1, 2, (lists + 1) / 2})
      if (probes <= lists) compare_probes(what, of, probes);
  }

 private:
  void compare(const std::string& what, const SearchOptions& options) {
    const Vectors& queries = bench_.problem.queries();
    const int64_t batch = bench_.spec.batch, k = bench_.spec.k;
    Results wanted(batch, k), found(batch, k);
    SearchOptions plain = options;
    plain.probes = 0;
    plain_.search(queries.matrix(), &wanted, plain);
    listed_.search(queries.matrix(), &found, options);
    found.check_same(wanted, what.c_str());
    if (!bench_.backend.is_slow() && options.filters == nullptr) {
      // So many that those of a list do not meet it at once.
      constexpr int64_t kMany = 30;
      Vectors many(kMany, bench_.spec.dim, bench_.spec.padded);
      for (int64_t i = 0; i < kMany; ++i) many.set_row(i, queries.row(i % batch));
      Results wide(kMany, k);
      listed_.search(many.matrix(), &wide, options);
      for (int64_t i = 0; i < kMany; ++i) wide.check_same(i, wanted, i % batch, k, (what + ", many").c_str());
    }
    for (int64_t q = 0; q < std::min(singles(), batch); ++q) {
      Results one(1, k);
      listed_.search(queries.matrix(q, 1), &one, options);
      one.check_same(0, wanted, q, k, (what + ", alone").c_str());
    }
  }

  // What is certified is what a search of as many lists finds.
  void compare_capped(const std::string& what, const SearchOptions& options) {
    const Vectors& queries = bench_.problem.queries();
    const int64_t batch = std::min(singles(), bench_.spec.batch), k = bench_.spec.k;
    Results capped(batch, k);
    listed_.search(queries.matrix(0, batch), &capped, options);
    for (int64_t q = 0; q < batch; ++q) {
      if (!capped.certified(q)) continue;
      Results exact(1, k);
      listed_.search(queries.matrix(q, 1), &exact, {.probes = capped.lists(q)});
      exact.check_same(
          0, capped, q, k,
          text("%s, max_oversample=%g", what.c_str(), static_cast<double>(options.max_oversample)).c_str());
    }
  }

  void compare_stored(const std::string& what) {
    std::vector<int64_t> rows(static_cast<size_t>(listed_.info().rows));
    std::iota(rows.begin(), rows.end(), 0);
    const Vectors stored = listed_.read(rows), wanted = plain_.read(rows);
    for (const int64_t row : rows)
      check(std::equal(stored.row(row), stored.row(row) + bench_.spec.dim, wanted.row(row)),
            "%s: row %lld reads other values", what.c_str(), static_cast<long long>(row));
    const std::vector<int64_t> offsets = {0, static_cast<int64_t>(rows.size())};
    const nf_matrix query = bench_.problem.queries().matrix(0, 1);
    const std::vector<float> distances = listed_.score(query, offsets, rows),
                             right = plain_.score(query, offsets, rows);
    check(std::equal(distances.begin(), distances.end(), right.begin(),
                     [](float a, float b) { return a == b || (a != a && b != b); }),
          "%s: rows score other distances", what.c_str());
  }

  // A higher target takes no fewer lists.
  void check_targets(const std::string& what, int32_t lists) {
    const Vectors& queries = bench_.problem.queries();
    int64_t before = 0;
    for (const float target : {0.1f, 0.5f, 0.9f, 0.99f}) {
      Results found(bench_.spec.batch, bench_.spec.k);
      listed_.search(queries.matrix(), &found, {.target_recall = target});
      int64_t looked = 0;
      for (int64_t q = 0; q < bench_.spec.batch; ++q) {
        check(found.lists(q) >= 1 && found.lists(q) <= lists, "%s: query %lld looked into %d lists of %d",
              what.c_str(), static_cast<long long>(q), found.lists(q), lists);
        looked += found.lists(q);
      }
      // A query that lacks rows goes on to twice as many lists as it was at.
      check(2 * looked >= before, "%s: a target of %g takes %lld lists, a lower one %lld", what.c_str(),
            static_cast<double>(target), static_cast<long long>(looked), static_cast<long long>(before));
      before = looked;
    }
  }

  // Every row is in the list of the nearest centroid; on the ball in the Euclidean sense.
  void check_nearest(const std::string& what, const Index::Lists& lists) {
    std::vector<int64_t> rows(lists.of_row.size());
    std::iota(rows.begin(), rows.end(), 0);
    const int32_t metric =
        bench_.spec.metric == NF_POINCARE ? static_cast<int32_t>(NF_L2SQ) : bench_.spec.metric;
    const Vectors stored = listed_.read(rows);
    Results nearest(static_cast<int64_t>(rows.size()), 1);
    knn(bench_.backend, context_, metric, stored.matrix(), lists.centroids.matrix(), &nearest);
    for (const int64_t row : rows)
      check(lists.of_row[static_cast<size_t>(row)] == nearest.row(row, 0),
            "%s: row %lld is in list %d, nearest is %lld", what.c_str(), static_cast<long long>(row),
            lists.of_row[static_cast<size_t>(row)], static_cast<long long>(nearest.row(row, 0)));
  }

  // A query's answer is that of the flat index over the rows of the lists it says to have looked into, which
  // are the nearest ones.
  void compare_probes(const std::string& what, const Index::Lists& lists, int32_t probes) {
    const Vectors& queries = bench_.problem.queries();
    const int64_t batch = bench_.spec.batch, k = bench_.spec.k;
    const auto count = static_cast<int64_t>(lists.centroids.rows());
    Results order(batch, count);
    knn(bench_.backend, context_, bench_.spec.metric, queries.matrix(), lists.centroids.matrix(), &order);
    Results found(batch, k);
    listed_.search(queries.matrix(), &found, {.probes = probes});
    Filters filters;
    std::vector<int32_t> filter_of_query;
    for (int64_t q = 0; q < batch; ++q) {
      const auto looked = [&](int32_t first) {
        std::vector<uint8_t> in(static_cast<size_t>(count));
        for (int32_t i = 0; i < first; ++i) in[static_cast<size_t>(order.row(q, i))] = 1;
        return bitset(static_cast<int64_t>(lists.of_row.size()), [&](int64_t row) {
          return in[static_cast<size_t>(lists.of_row[static_cast<size_t>(row)])] != 0;
        });
      };
      check(found.lists(q) >= probes && found.lists(q) <= count, "%s: query %lld looked into %d lists of %d",
            what.c_str(), static_cast<long long>(q), found.lists(q), probes);
      check(found.count(q) == k || found.lists(q) == count,
            "%s: query %lld found %d rows in %d lists of %lld", what.c_str(), static_cast<long long>(q),
            found.count(q), found.lists(q), static_cast<long long>(count));
      filter_of_query.push_back(filters.add_bits(looked(found.lists(q))));
    }
    filters.per_query(filter_of_query);
    Results wanted(batch, k);
    plain_.search(queries.matrix(), &wanted, {.filters = &filters});
    found.check_same(wanted, text("%s, %d probes", what.c_str(), probes).c_str());
    for (int64_t q = 0; q < std::min(singles(), batch); ++q) {
      Results one(1, k);
      listed_.search(queries.matrix(q, 1), &one, {.probes = probes});
      one.check_same(0, found, q, k, text("%s, %d probes, alone", what.c_str(), probes).c_str());
      check(one.lists(0) == found.lists(q), "%s: query %lld alone looked into %d lists, in a batch into %d",
            what.c_str(), static_cast<long long>(q), one.lists(0), found.lists(q));
    }
  }

  // Queries that are searched alone, too.
  int64_t singles() const { return bench_.backend.is_slow() ? 1 : 2; }

  const Bench& bench_;
  nf_context* context_;
  std::string name_;
  Index listed_, plain_;
};

}  // namespace nearfield::test
