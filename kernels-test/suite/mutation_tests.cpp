// SPDX-License-Identifier: Apache-2.0
// Operations that change an index, one at a time.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "check.hpp"
#include "index.hpp"
#include "random.hpp"
#include "tests.hpp"

namespace nearfield::test {
namespace {

void check_counts(Index& index, int64_t rows, int64_t live, const char* when) {
  const nf_index_info info = index.info();
  check(info.rows == rows && info.live_rows == live,
        "%s: info says %lld rows, %lld live; expected %lld and %lld", when, static_cast<long long>(info.rows),
        static_cast<long long>(info.live_rows), static_cast<long long>(rows), static_cast<long long>(live));
}

void check_row(const Vectors& actual, int64_t i, const Vectors& wanted, int64_t row) {
  for (int32_t d = 0; d < wanted.dim(); ++d) {
    check(std::bit_cast<uint32_t>(actual.row(i)[d]) == std::bit_cast<uint32_t>(wanted.row(row)[d]),
          "row %lld, dimension %d reads %.9g, stored was %.9g", static_cast<long long>(row), d,
          static_cast<double>(actual.row(i)[d]), static_cast<double>(wanted.row(row)[d]));
  }
}

// A vector that every metric refuses, in the middle of good ones.
Vectors with_bad_row(const Bench& bench, int64_t at, float bad) {
  Vectors rows = bench.problem.data();
  rows.row(at)[bench.spec.dim / 2] = bad;
  return rows;
}

}  // namespace

void test_live(const Bench& bench) {
  const Problem& p = bench.problem;
  const int64_t rows = bench.spec.rows;
  Index index(bench.backend, bench.context(), p.metric(), bench.spec.dim);
  index.add(p.data().matrix());
  const auto search = [&](const char* when, const Keep& keep) {
    Results results(bench.spec.batch, bench.spec.k, bench.spec.padded);
    index.search(p.queries().matrix(), &results);
    try {
      p.check_ranking(results, keep);
    } catch (const Failure& failure) {
      throw Failure(std::string(when) + ": " + failure.what());
    }
    return results;
  };
  const Results before = search("all live", {});

  // The best result of the first query goes: then the next one leads.
  const int64_t best[] = {before.row(0, 0)};
  index.set_live(best, false);
  check_counts(index, rows, rows - 1, "after one removal");
  search("one dead", [&](int64_t, int64_t row) { return row != best[0]; });
  index.set_live(best, false);  // again: no change
  check_counts(index, rows, rows - 1, "after a second removal of the same row");
  index.set_live(best, true);
  before.check_same(search("revived", {}), "before a removal and after the revival");

  const std::vector<int64_t> odd = every(rows, 2, 1);
  index.set_live(odd, false);
  check_counts(index, rows, rows - static_cast<int64_t>(odd.size()), "after removing odd rows");
  search("odd rows dead", [](int64_t, int64_t row) { return row % 2 == 0; });
  const std::vector<int64_t> even = every(rows, 2, 0);
  index.set_live(even, false);
  check_counts(index, rows, 0, "after removing all rows");
  search("all dead", [](int64_t, int64_t) { return false; });
  index.set_live(odd, true);
  index.set_live(even, true);
  before.check_same(search("all revived", {}), "before all removals and after all revivals");
}

// Rows that are added hidden are found by no search before a range of them is set live; then the index is one
// that they were added to like others. Ranges against lists of the same rows.
void test_hidden(const Bench& bench) {
  const Problem& p = bench.problem;
  const int64_t rows = bench.spec.rows, shown = rows / 3 + 1;
  Index index(bench.backend, bench.context(), p.metric(), bench.spec.dim);
  Index listed(bench.backend, bench.context(), p.metric(), bench.spec.dim);
  index.add(p.data().matrix(0, shown));
  listed.add(p.data().matrix());
  std::vector<uint8_t> live(static_cast<size_t>(rows), 1);
  const auto compare = [&](const char* when) {
    int64_t alive = 0;
    for (int64_t row = 0; row < index.info().rows; ++row) alive += live[static_cast<size_t>(row)];
    check_counts(index, index.info().rows, alive, when);
    Results results(bench.spec.batch, bench.spec.k, bench.spec.padded);
    index.search(p.queries().matrix(), &results);
    Results wanted(bench.spec.batch, bench.spec.k);
    listed.search(p.queries().matrix(), &wanted);
    results.check_same(wanted, when);
  };
  const auto kill_listed = [&](int64_t first, int64_t count, bool to) {
    std::vector<int64_t> numbers;
    for (int64_t row = first; row < first + count; ++row) {
      numbers.push_back(row);
      live[static_cast<size_t>(row)] = to ? 1 : 0;
    }
    listed.set_live(numbers, to);
  };
  kill_listed(shown, rows - shown, false);
  const int64_t second = (rows - shown) / 2;
  check(index.add(p.data().matrix(shown, second), NF_HIDDEN) == shown, "hidden rows are not the next");
  compare("one lot hidden");
  // A second lot fails: nothing of it is there, and the first is hidden still.
  const Vectors bad = with_bad_row(bench, rows - 1, std::numeric_limits<float>::quiet_NaN());
  int64_t untouched = -77;
  fails(index.try_add(bad.matrix(shown + second, rows - shown - second), &untouched, NF_HIDDEN),
        NF_INVALID_ARGUMENT, "a hidden add with a NaN");
  compare("after a hidden add that failed");
  index.add(p.data().matrix(shown + second, rows - shown - second), NF_HIDDEN);
  compare("two lots hidden");
  fails(index.try_set_live(nullptr, shown, rows - shown + 1, true), NF_INVALID_ARGUMENT, "a range too long");
  compare("after a range that failed");
  index.set_live_range(shown, rows - shown, true);
  kill_listed(shown, rows - shown, true);
  compare("all shown");
  Random random(p.seed() + 9);
  for (int round = 0; round < 12; ++round) {
    const int64_t first = random.below(rows + 1);
    const int64_t count =
        random.below(round % 3 == 0 ? std::min<int64_t>(40, rows - first) + 1 : rows - first + 1);
    const bool to = random.below(2) == 0;
    index.set_live_range(first, count, to);
    index.set_live_range(first, count, to);  // again: no change
    kill_listed(first, count, to);
    compare(to ? "a range revived" : "a range removed");
  }
}

void test_replace(const Bench& bench) {
  const Problem& p = bench.problem;
  const int64_t rows = bench.spec.rows;
  Index index(bench.backend, bench.context(), p.metric(), bench.spec.dim);
  index.add(p.data().matrix());
  const int64_t dead[] = {2};
  index.set_live(dead, false);

  // Every fifth row, from the last to the first, gets the vector of another; row 2 stays dead.
  std::vector<int64_t> chosen = every(rows, 5, 2);
  std::reverse(chosen.begin(), chosen.end());
  Vectors fresh(static_cast<int64_t>(chosen.size()), bench.spec.dim, bench.spec.padded);
  generate(bench.spec.data, p.metric(), p.seed(), p.seed() + 3, &fresh);
  Vectors model = p.data();
  for (size_t i = 0; i < chosen.size(); ++i) model.set_row(chosen[i], fresh.row(static_cast<int64_t>(i)));
  index.replace(chosen, fresh.matrix());
  check_counts(index, rows, rows - 1, "after replace");
  const Problem after(p.metric(), model, p.queries());
  Results results(bench.spec.batch, bench.spec.k, bench.spec.padded);
  index.search(p.queries().matrix(), &results);
  after.check_ranking(results, [](int64_t, int64_t row) { return row != 2; });

  // A bad row in the middle: nothing is replaced.
  Vectors bad = fresh;
  bad.row(bad.rows() / 2)[0] = std::numeric_limits<float>::quiet_NaN();
  fails(index.try_replace(chosen, bad.matrix()), NF_INVALID_ARGUMENT, "replace with a NaN");
  const std::vector<int64_t> all = every(rows, 1, 0);
  const Vectors stored = index.read(all);
  for (int64_t row = 0; row < rows; ++row) check_row(stored, row, model, row);
}

void test_read(const Bench& bench) {
  const Problem& p = bench.problem;
  const int64_t rows = bench.spec.rows;
  Index index(bench.backend, bench.context(), p.metric(), bench.spec.dim);
  index.add(p.data().matrix());
  std::vector<int64_t> wanted = every(rows, 1, 0);
  Random random(p.seed());
  for (size_t i = wanted.size(); i > 1; --i)
    std::swap(wanted[i - 1], wanted[static_cast<size_t>(random.below(static_cast<int64_t>(i)))]);
  wanted.push_back(wanted.front());  // the same row twice
  const Vectors stored = index.read(wanted);
  for (size_t i = 0; i < wanted.size(); ++i) {
    check_row(stored, static_cast<int64_t>(i), p.data(), wanted[i]);
    check(std::isnan(stored.row(static_cast<int64_t>(i))[bench.spec.dim]), "index_read wrote behind row %zu",
          i);
  }
}

// add takes all rows or none.
void test_add(const Bench& bench) {
  const Problem& p = bench.problem;
  const int64_t rows = bench.spec.rows;
  Index index(bench.backend, bench.context(), p.metric(), bench.spec.dim);
  index.add(p.data().matrix());
  Results before(bench.spec.batch, bench.spec.k);
  index.search(p.queries().matrix(), &before);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const int64_t at = rows / 2;
    const Vectors refused = with_bad_row(bench, at, bad);
    int64_t first = -77;
    const Answer answer = index.try_add(refused.matrix(), &first);
    fails(answer, NF_INVALID_ARGUMENT, "add with a bad row");
    check(first == -77, "a failed add wrote first_row=%lld", static_cast<long long>(first));
    check(answer.message.find(std::to_string(at)) != std::string::npos,
          "the message of a failed add does not name row %lld: %s", static_cast<long long>(at),
          answer.message.c_str());
    check_counts(index, rows, rows, "after a refused add");
    Results after(bench.spec.batch, bench.spec.k);
    index.search(p.queries().matrix(), &after);
    after.check_same(before, "before and after a refused add");
  }
  check(index.add(p.data().matrix(0, 0)) == rows, "adding no rows changed the index");
  check(index.add(p.data().matrix(0, 1)) == rows, "an add after refused ones got the wrong row");
  check_counts(index, rows + 1, rows + 1, "after adding one row");
}

// The estimate holds, and a limit refuses an add as a whole.
void test_memory(const Bench& bench) {
  const Problem& p = bench.problem;
  const nf_api& api = bench.backend.api();
  nf_index_desc desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = NF_FLAT;
  desc.metric = p.metric();
  desc.dim = bench.spec.dim;
  desc.store_dtype = desc.scan_dtype = NF_F32;
  desc.capacity = bench.spec.rows;
  uint64_t peak = 0;
  uint64_t bytes = 0;
  CallBlock call;
  ok(call.answer(api.index_estimate(bench.context(), &desc, &peak, &bytes, call.abi())), "index_estimate");
  check(peak >= bytes &&
            bytes >= static_cast<uint64_t>(bench.spec.rows) * static_cast<uint64_t>(bench.spec.dim) * 4,
        "index_estimate: %llu bytes at rest, %llu at the peak, the vectors alone take %llu",
        static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(peak),
        static_cast<unsigned long long>(bench.spec.rows * bench.spec.dim * 4));

  // Three times the estimate: room for a few more rows after the refusal, in whatever slab they come.
  Index index(bench.backend, bench.context(), p.metric(), bench.spec.dim, 3 * peak);
  index.add(p.data().matrix());
  const nf_index_info full = index.info();
  check(full.device_bytes > 0 && full.device_bytes <= peak, "%llu bytes on the device, the estimate was %llu",
        static_cast<unsigned long long>(full.device_bytes), static_cast<unsigned long long>(peak));
  Results before(bench.spec.batch, bench.spec.k);
  index.search(p.queries().matrix(), &before);

  // Twenty times the rows in one add cannot fit into the memory of three.
  Vectors many(bench.spec.rows * 20, bench.spec.dim, false);
  for (int64_t row = 0; row < many.rows(); ++row) many.set_row(row, p.data().row(row % bench.spec.rows));
  int64_t first = -77;
  const Answer answer = index.try_add(many.matrix(), &first);
  fails(answer, NF_RESOURCE_EXHAUSTED, "an add beyond memory_limit");
  check(first == -77, "a failed add wrote first_row=%lld", static_cast<long long>(first));
  check_counts(index, bench.spec.rows, bench.spec.rows, "after an add beyond memory_limit");
  check(index.info().device_bytes == full.device_bytes,
        "a failed add kept %llu bytes of the device, before: %llu",
        static_cast<unsigned long long>(index.info().device_bytes),
        static_cast<unsigned long long>(full.device_bytes));
  Results after(bench.spec.batch, bench.spec.k);
  index.search(p.queries().matrix(), &after);
  after.check_same(before, "before and after an add beyond memory_limit");
  // Nor did it leave rows behind that a later add would find in its place.
  const int64_t next[] = {index.add(p.data().matrix(1, 1))};
  check_row(index.read(next), 0, p.data(), 1);
}

// A cancelled or late call leaves its outputs and the index as they were.
void test_stop(const Bench& bench) {
  const Problem& p = bench.problem;
  const nf_api& api = bench.backend.api();
  Index index(bench.backend, bench.context(), p.metric(), bench.spec.dim);
  index.add(p.data().matrix());
  Results before(bench.spec.batch, bench.spec.k);
  index.search(p.queries().matrix(), &before);
  const uint32_t cancel = 1;
  for (const bool late : {false, true}) {
    const auto stop = [&](CallBlock* call) {
      call->fields().cancel = late ? nullptr : &cancel;
      call->fields().timeout_ns = late ? 1 : 0;
    };
    const nf_status wanted = late ? NF_DEADLINE_EXCEEDED : NF_CANCELLED;
    {
      CallBlock call;
      stop(&call);
      Results untouched(bench.spec.batch, bench.spec.k, true);
      fails(index.try_search(p.queries().matrix(), &untouched, {}, call.abi()), wanted, "index_search");
      untouched.check_untouched();
    }
    {
      CallBlock call;
      stop(&call);
      nf_matrix rows = p.data().matrix();
      int64_t first = -77;
      nf_add request{};
      request.struct_size = sizeof(request);
      request.rows = &rows;
      fails(call.answer(api.index_add(index.handle(), &request, &first, call.abi())), wanted, "index_add");
      check(first == -77, "a stopped add wrote first_row");
    }
    {
      CallBlock call;
      stop(&call);
      const int64_t chosen[] = {0};
      nf_matrix rows = p.data().matrix(1, 1);
      fails(call.answer(api.index_replace(index.handle(), chosen, &rows, call.abi())), wanted,
            "index_replace");
    }
    {
      CallBlock call;
      stop(&call);
      nf_live request{};
      request.struct_size = sizeof(request);
      request.count = 1;
      fails(call.answer(api.index_set_live(index.handle(), &request, call.abi())), wanted, "index_set_live");
    }
    {
      CallBlock call;
      stop(&call);
      const nf_matrix queries = p.queries().matrix();
      const nf_matrix dataset = p.data().matrix();
      Results untouched(bench.spec.batch, bench.spec.k, true);
      nf_knn request{};
      request.struct_size = sizeof(request);
      request.metric = p.metric();
      request.queries = &queries;
      request.dataset = &dataset;
      request.result = untouched.abi();
      fails(call.answer(api.knn(bench.context(), &request, nullptr, call.abi())), wanted, "knn");
      untouched.check_untouched();
    }
    check_counts(index, bench.spec.rows, bench.spec.rows, "after stopped calls");
    Results after(bench.spec.batch, bench.spec.k);
    index.search(p.queries().matrix(), &after);
    after.check_same(before, "before and after stopped calls");
  }
  p.check_inputs_unchanged();
}

}  // namespace nearfield::test
