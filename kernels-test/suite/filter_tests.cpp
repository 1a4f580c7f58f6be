// SPDX-License-Identifier: Apache-2.0
// Filters: bitsets, row lists, one per query.
#include "check.hpp"
#include "index.hpp"
#include "random.hpp"
#include "tests.hpp"

namespace nearfield::test {
namespace {

struct Kind {
  const char* name;
  std::function<bool(int64_t row)> keep;
};

// The one that test_filter removes.
int64_t dead_row(int64_t rows) { return rows / 3; }

// Sparse ones may be gathered, dense ones scanned: both sides of that decision.
std::vector<Kind> kinds(const Bench& bench) {
  const int64_t rows = bench.spec.rows;
  const uint64_t seed = bench.problem.seed();
  const auto share = [seed](int64_t row, int percent) {
    return static_cast<int>(hash({reinterpret_cast<const char*>(&row), sizeof(row)}, seed) % 100) < percent;
  };
  return {
      {"none", [](int64_t) { return false; }},
      {"one", [rows](int64_t row) { return row == rows / 2; }},
      {"last", [rows](int64_t row) { return row == rows - 1; }},
      {"the dead row", [rows](int64_t row) { return row == dead_row(rows); }},
      {"1%", [share](int64_t row) { return share(row, 1); }},
      {"10%", [share](int64_t row) { return share(row, 10); }},
      {"half", [share](int64_t row) { return share(row, 50); }},
      {"all but one", [](int64_t row) { return row != 0; }},
      // A tile of 128 rows gives one, the next ones all: a GPU's list of 256 is then as full as it may be.
      {"all but 127", [](int64_t row) { return row >= 127; }},
      {"all", [](int64_t) { return true; }},
  };
}

std::vector<int64_t> listed(int64_t rows, const std::function<bool(int64_t)>& keep) {
  std::vector<int64_t> list;
  for (int64_t row = 0; row < rows; ++row)
    if (keep(row)) list.push_back(row);
  return list;
}

}  // namespace

void test_filter(const Bench& bench) {
  const Problem& p = bench.problem;
  const int64_t rows = bench.spec.rows;
  Index index(bench.backend, bench.context(), p.metric(), bench.spec.dim);
  index.add(p.data().matrix());
  const int64_t dead[] = {dead_row(rows)};
  index.set_live(dead, false);
  const auto run = [&](const std::string& what, const Filters& filters, const Keep& keep) {
    try {
      Results results(bench.spec.batch, bench.spec.k, bench.spec.padded);
      index.search(p.queries().matrix(), &results, {.filters = &filters});
      p.check_ranking(results, [&](int64_t q, int64_t row) { return row != dead[0] && keep(q, row); });
    } catch (const Failure& failure) {
      throw Failure(what + ": " + failure.what());
    }
  };

  const std::vector<Kind> all = kinds(bench);
  for (const Kind& kind : all) {
    const Keep keep = [&](int64_t, int64_t row) { return kind.keep(row); };
    Filters bits;
    bits.add_bits(bitset(rows, kind.keep));
    run(std::string("bitset that keeps ") + kind.name, bits, keep);
    Filters list;
    list.add_rows(listed(rows, kind.keep));
    run(std::string("row list that keeps ") + kind.name, list, keep);
  }

  // A bitset may end early (the rest is out) or late (bits of rows that do not exist).
  Filters early;
  early.add_bits(std::vector<uint32_t>(1, ~0u));
  run("bitset of one word", early, [](int64_t, int64_t row) { return row < 32; });
  Filters empty;
  empty.add_bits({});
  run("bitset of no words", empty, [](int64_t, int64_t) { return false; });
  Filters late;
  late.add_bits(std::vector<uint32_t>(static_cast<size_t>(rows / 32 + 3), ~0u));
  run("bitset longer than the rows", late, [](int64_t, int64_t) { return true; });

  // Each query its own: none at all, or one of the kinds, as a bitset or as a list.
  Filters each;
  for (size_t i = 0; i < all.size(); ++i) {
    if (i % 2 == 0) {
      each.add_bits(bitset(rows, all[i].keep));
    } else {
      each.add_rows(listed(rows, all[i].keep));
    }
  }
  const int64_t count = static_cast<int64_t>(all.size());
  const auto filter_of = [count](int64_t q) { return static_cast<int32_t>(q * 5 % (count + 1)) - 1; };
  std::vector<int32_t> of_query;
  for (int64_t q = 0; q < bench.spec.batch; ++q) of_query.push_back(filter_of(q));
  each.per_query(of_query);
  run("a filter per query", each, [&](int64_t q, int64_t row) {
    return filter_of(q) < 0 || all[static_cast<size_t>(filter_of(q))].keep(row);
  });
}

// A filter changes nothing but who may be returned: keeping all equals none, keeping some equals an index
// that holds only those.
void test_bits_filter(const Bench& bench) {
  const Problem& p = bench.problem;
  const int64_t rows = bench.spec.rows;
  Index index(bench.backend, bench.context(), p.metric(), bench.spec.dim);
  index.add(p.data().matrix());
  Results plain(bench.spec.batch, bench.spec.k);
  index.search(p.queries().matrix(), &plain);
  p.check_ranking(plain);

  for (const Kind& kind : kinds(bench)) {
    const std::vector<int64_t> kept = listed(rows, kind.keep);
    Vectors some(static_cast<int64_t>(kept.size()), bench.spec.dim, false);
    for (size_t i = 0; i < kept.size(); ++i) some.set_row(static_cast<int64_t>(i), p.data().row(kept[i]));
    Index smaller(bench.backend, bench.context(), p.metric(), bench.spec.dim);
    smaller.add(some.matrix());
    Results expected(bench.spec.batch, bench.spec.k);
    smaller.search(p.queries().matrix(), &expected);
    for (int64_t q = 0; q < bench.spec.batch; ++q)
      for (int64_t i = 0; i < expected.count(q); ++i)
        expected.abi()->rows[q * bench.spec.k + i] = kept[static_cast<size_t>(expected.row(q, i))];

    Filters bits;
    bits.add_bits(bitset(rows, kind.keep));
    Results filtered(bench.spec.batch, bench.spec.k);
    index.search(p.queries().matrix(), &filtered, {.filters = &bits});
    filtered.check_same(expected,
                        text("a bitset that keeps %s and an index of only those", kind.name).c_str());
    Filters list;
    list.add_rows(kept);
    Results gathered(bench.spec.batch, bench.spec.k);
    index.search(p.queries().matrix(), &gathered, {.filters = &list});
    gathered.check_same(expected,
                        text("a row list that keeps %s and an index of only those", kind.name).c_str());
    if (static_cast<int64_t>(kept.size()) == rows)
      filtered.check_same(plain, "a bitset that keeps all and none");
  }
}

}  // namespace nearfield::test
