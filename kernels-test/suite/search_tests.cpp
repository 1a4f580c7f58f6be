// SPDX-License-Identifier: Apache-2.0
// Searching an index that does not change.
#include <bit>
#include <cmath>
#include <limits>

#include "check.hpp"
#include "index.hpp"
#include "tests.hpp"

namespace nearfield::test {

nf_context* Bench::context() const {
  // 1 byte: the smallest slab there is, one group of 32 rows.
  return backend.context({.slab_bytes = spec.tiny_slabs ? uint64_t{1} : 0});
}

void test_knn(const Bench& bench) {
  const Problem& p = bench.problem;
  Results results(bench.spec.batch, bench.spec.k, bench.spec.padded);
  knn(bench.backend, bench.context(), p.metric(), p.queries().matrix(), p.data().matrix(), &results);
  p.check_ranking(results);

  Filters odd;
  odd.add_bits(bitset(bench.spec.rows, [](int64_t row) { return row % 2 == 1; }));
  Results filtered(bench.spec.batch, bench.spec.k, bench.spec.padded);
  knn(bench.backend, bench.context(), p.metric(), p.queries().matrix(), p.data().matrix(), &filtered,
      odd.first());
  p.check_ranking(filtered, [](int64_t, int64_t row) { return row % 2 == 1; });

  // The rows pass through a quarter of the context's memory, 256 KiB or one group of rows, block after block.
  nf_context* const small = bench.backend.context({.memory_limit = uint64_t{1} << 20});
  Results blocks(bench.spec.batch, bench.spec.k);
  knn(bench.backend, small, p.metric(), p.queries().matrix(), p.data().matrix(), &blocks);
  blocks.check_same(results, "knn in blocks and at once");
  knn(bench.backend, small, p.metric(), p.queries().matrix(), p.data().matrix(), &blocks, odd.first());
  blocks.check_same(filtered, "filtered knn in blocks and at once");
}

// One that may not be, at the end of the last block.
static void names_bad_row(const Bench& bench, nf_context* context) {
  const Problem& p = bench.problem;
  Vectors vectors = p.data();
  const int64_t bad = bench.spec.rows - 1;
  vectors.row(bad)[bench.spec.dim - 1] = std::numeric_limits<float>::quiet_NaN();
  const nf_matrix queries = p.queries().matrix(), dataset = vectors.matrix();
  Results untouched(bench.spec.batch, bench.spec.k, true);
  nf_knn request{};
  request.struct_size = sizeof(request);
  request.metric = p.metric();
  request.queries = &queries;
  request.dataset = &dataset;
  request.result = untouched.abi();
  CallBlock call;
  const Answer answer = call.answer(bench.backend.api().knn(context, &request, nullptr, call.abi()));
  fails(answer, NF_INVALID_ARGUMENT, "knn of a row with NaN");
  const std::string name = "dataset row " + std::to_string(bad);
  check(answer.message.find(name) != std::string::npos, "knn names not %s: %s", name.c_str(),
        answer.message.c_str());
  untouched.check_untouched();
}

// In steps, with all rows at hand or some of them, in one block or several: the same bits.
void test_knn_steps(const Bench& bench) {
  const Problem& p = bench.problem;
  const int64_t rows = bench.spec.rows;
  const nf_matrix queries = p.queries().matrix(), dataset = p.data().matrix();
  Filters filters;
  filters.add_bits(bitset(rows, [](int64_t row) { return row % 3 != 1; }));
  std::vector<int64_t> listed;
  for (int64_t row = rows / 9; row < rows; row += 1 + row % 5) listed.push_back(row);
  Filters lists;
  lists.add_rows(listed);
  nf_context* const small = bench.backend.context({.memory_limit = uint64_t{1} << 17});
  for (const nf_filter* filter : {static_cast<const nf_filter*>(nullptr), filters.first(), lists.first()}) {
    Results whole(bench.spec.batch, bench.spec.k, bench.spec.padded);
    knn(bench.backend, bench.context(), p.metric(), queries, dataset, &whole, filter);
    const auto same = [&](nf_context* context, int64_t piece, int64_t budget_ns, const char* how) {
      Results stepped(bench.spec.batch, bench.spec.k, bench.spec.padded);
      const int64_t steps = knn_in_steps(bench.backend, context, p.metric(), queries, dataset, piece,
                                         budget_ns, &stepped, filter);
      stepped.check_same(whole, how);
      return steps;
    };
    // A step of 1 ns is one piece of rows, or one slice of 128 queries.
    const int64_t slices = (bench.spec.batch + 127) / 128;
    const int64_t steps = same(bench.context(), 0, 1, "knn at once and in steps");
    check(steps == 1 + slices, "knn in steps of 1 ns: %lld, for %lld slices of queries",
          static_cast<long long>(steps), static_cast<long long>(slices));
    same(small, rows / 3 + 7, 1, "knn at once and in pieces, blocks and steps");
    same(small, rows / 2 + 1, 0, "knn at once and in pieces and blocks");
  }
  names_bad_row(bench, small);
}

// Added in three unequal parts, searched, and compared with the stateless search.
void test_search(const Bench& bench) {
  const Problem& p = bench.problem;
  const int64_t rows = bench.spec.rows;
  Index index(bench.backend, bench.context(), p.metric(), bench.spec.dim);
  const int64_t first = rows / 7;
  const int64_t second = rows / 2;
  index.add(p.data().matrix(0, first));
  index.add(p.data().matrix(first, second - first));
  index.add(p.data().matrix(second, rows - second));
  check(index.info().rows == rows && index.info().live_rows == rows,
        "index_info: %lld rows, %lld live, %lld were added", static_cast<long long>(index.info().rows),
        static_cast<long long>(index.info().live_rows), static_cast<long long>(rows));
  Results results(bench.spec.batch, bench.spec.k, bench.spec.padded);
  index.search(p.queries().matrix(), &results);
  p.check_ranking(results);

  Results stateless(bench.spec.batch, bench.spec.k);
  knn(bench.backend, bench.context(), p.metric(), p.queries().matrix(), p.data().matrix(), &stateless);
  results.check_same(stateless, "index_search and knn");

  // NF_EXACT asks for what an f32 flat index does anyway.
  Results exact(bench.spec.batch, bench.spec.k);
  index.search(p.queries().matrix(), &exact, {.flags = NF_EXACT});
  results.check_same(exact, "index_search without and with NF_EXACT");
}

// Whatever search() reported, score() reports for the same rows, bit for bit, in any order.
void test_score(const Bench& bench) {
  const Problem& p = bench.problem;
  Index index(bench.backend, bench.context(), p.metric(), bench.spec.dim);
  index.add(p.data().matrix());
  Results results(bench.spec.batch, bench.spec.k);
  index.search(p.queries().matrix(), &results);
  std::vector<int64_t> offsets = {0};
  std::vector<int64_t> rows;
  std::vector<float> wanted;
  for (int64_t q = 0; q < bench.spec.batch; ++q) {
    for (int64_t i = results.count(q) - 1; i >= 0 && q % 5 != 3; --i) {  // every fifth query: an empty list
      rows.push_back(results.row(q, i));
      wanted.push_back(results.distance(q, i));
    }
    offsets.push_back(static_cast<int64_t>(rows.size()));
  }
  const auto compare = [&](const char* what, int64_t dead) {
    const std::vector<float> scores = index.score(p.queries().matrix(), offsets, rows);
    for (size_t i = 0; i < rows.size(); ++i) {
      const bool missing = rows[i] == dead || rows[i] < 0 || rows[i] >= bench.spec.rows;
      const bool same = missing ? std::isnan(scores[i])
                                : std::bit_cast<uint32_t>(scores[i]) == std::bit_cast<uint32_t>(wanted[i]);
      check(same, "%s: row %lld scores %.9g, expected %.9g", what, static_cast<long long>(rows[i]),
            static_cast<double>(scores[i]), missing ? std::nan("") : static_cast<double>(wanted[i]));
    }
  };
  compare("score of found rows", -1);
  const int64_t dead[] = {rows.front()};
  index.set_live(dead, false);
  compare("score with a dead row", dead[0]);
  index.set_live(dead, true);
  rows[rows.size() / 2] = bench.spec.rows;  // unknown
  compare("score with an unknown row", -1);
  p.check_inputs_unchanged();
}

void test_prefix(const Bench& bench) {
  const Problem& p = bench.problem;
  Index index(bench.backend, bench.context(), p.metric(), bench.spec.dim);
  index.add(p.data().matrix());
  Results longest(bench.spec.batch, bench.spec.k + 1);
  index.search(p.queries().matrix(), &longest);
  p.check_ranking(longest);
  for (const int64_t k : {bench.spec.k, bench.spec.k / 2, int64_t{1}}) {
    Results shorter(bench.spec.batch, k);
    index.search(p.queries().matrix(), &shorter);
    for (int64_t q = 0; q < bench.spec.batch; ++q)
      shorter.check_same(
          q, longest, q, k,
          text("top %lld and top %lld", static_cast<long long>(k), static_cast<long long>(bench.spec.k + 1))
              .c_str());
  }
}

// With a largest distance the answer is the part of the unlimited one that is not farther, the limit
// included.
void test_within(const Bench& bench) {
  const Problem& p = bench.problem;
  Index index(bench.backend, bench.context(), p.metric(), bench.spec.dim);
  index.add(p.data().matrix());
  Results all(bench.spec.batch, bench.spec.k);
  index.search(p.queries().matrix(), &all);
  const float middle = all.distance(0, all.count(0) / 2);
  const float first = all.distance(0, 0);
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float limit : {middle, std::nextafter(middle, -infinity), first,
                            std::nextafter(first, -infinity), 0.0f, std::numeric_limits<float>::max()}) {
    Results some(bench.spec.batch, bench.spec.k);
    index.search(p.queries().matrix(), &some, {.has_limit = true, .limit = limit});
    for (int64_t q = 0; q < bench.spec.batch; ++q) {
      int64_t wanted = 0;
      while (wanted < all.count(q) && all.distance(q, wanted) <= limit) ++wanted;
      check(some.count(q) == wanted, "max_distance=%.9g: query %lld has %d results, %lld are not farther",
            static_cast<double>(limit), static_cast<long long>(q), some.count(q),
            static_cast<long long>(wanted));
      some.check_same(q, all, q, wanted, "a search with max_distance and one without");
    }
  }
}

}  // namespace nearfield::test
