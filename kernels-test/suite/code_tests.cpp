// SPDX-License-Identifier: Apache-2.0
// Indexes with int8 codes answer as those without do, bit for bit, trained or not, whatever has changed
// since.
#include <algorithm>
#include <cmath>

#include "check.hpp"
#include "index.hpp"
#include "random.hpp"
#include "tests.hpp"

namespace nearfield::test {

void require_codes(const Bench& bench) {
  nf_capability what{};
  what.struct_size = sizeof(what);
  what.op = NF_OP_INDEX;
  what.index_kind = NF_FLAT;
  what.metric = bench.spec.metric;
  what.input_dtype = what.store_dtype = NF_F32;
  what.scan_dtype = NF_I8;
  if (bench.backend.api().supports(bench.context(), &what) != 1)
    throw NotApplicable(text("no codes for %s", metric_name(bench.spec.metric)));
}

std::vector<ContextOptions> code_paths(const Bench& bench) {
  std::vector<ContextOptions> paths;
  if (bench.backend.paths().empty()) throw NotApplicable("one path is forced in every context");
  for (const std::string& path : bench.backend.paths())
    // WebGPU's unpacked dots: exact integers, whatever the metric makes of them.
    if (path.find("code") != std::string::npos && path != "codes-query-major" &&
        (path != "codes-unpacked" || bench.spec.metric == NF_L2SQ))
      paths.push_back({.threads = 2, .slab_bytes = bench.spec.tiny_slabs ? 1u : 0u, .path = path});
  check(!paths.empty(), "no path forces codes");
  return paths;
}

namespace {

// A coded index and one that is not, through the same changes.
class Twins {
 public:
  Twins(const Bench& bench, const ContextOptions& path)
      : bench_(bench),
        path_(path.path),
        coded_(bench.backend, bench.backend.context(path), bench.spec.metric, bench.spec.dim, 0, NF_I8),
        plain_(bench.backend, bench.backend.context(path), bench.spec.metric, bench.spec.dim) {}

  void add(const nf_matrix& rows, uint32_t flags = 0) {
    coded_.add(rows, flags);
    plain_.add(rows, flags);
  }
  void set_live(std::span<const int64_t> rows, bool live) {
    coded_.set_live(rows, live);
    plain_.set_live(rows, live);
  }
  void replace(std::span<const int64_t> rows, const nf_matrix& data) {
    coded_.replace(rows, data);
    plain_.replace(rows, data);
  }
  void compact() {
    coded_.compact();
    plain_.compact();
  }
  Index& coded() { return coded_; }

  // Also in ones, which go another way than many.
  void compare(const char* when) {
    const std::string what = text("%s, %s: coded and plain", path_.c_str(), when);
    const Vectors& queries = bench_.problem.queries();
    Results wanted(bench_.spec.batch, bench_.spec.k, bench_.spec.padded);
    plain_.search(queries.matrix(), &wanted);
    Results found(bench_.spec.batch, bench_.spec.k, bench_.spec.padded);
    coded_.search(queries.matrix(), &found);
    found.check_same(wanted, what.c_str());
    for (int64_t q = 0; q < std::min<int64_t>(2, bench_.spec.batch); ++q) {
      Results one(1, bench_.spec.k);
      coded_.search(queries.matrix(q, 1), &one);
      one.check_same(0, wanted, q, bench_.spec.k, (what + ", alone").c_str());
    }
    Filters filters;
    filters.add_bits(bitset(coded_.info().rows, [](int64_t row) { return row % 3 != 1; }));
    SearchOptions options;
    options.filters = &filters;
    plain_.search(queries.matrix(), &wanted, options);
    coded_.search(queries.matrix(), &found, options);
    found.check_same(wanted, (what + ", filtered").c_str());
  }

 private:
  const Bench& bench_;
  std::string path_;
  Index coded_, plain_;
};

}  // namespace

void test_codes(const Bench& bench) {
  require_codes(bench);
  const Problem& p = bench.problem;
  const int64_t rows = bench.spec.rows, first = rows * 2 / 3 + 1;
  Vectors fresh((rows + 4) / 5, bench.spec.dim, bench.spec.padded);
  generate(bench.spec.data, p.metric(), p.seed(), p.seed() + 3, &fresh);
  for (const ContextOptions& path : code_paths(bench)) {
    Twins twins(bench, path);
    twins.add(p.data().matrix(0, first));
    twins.compare("before training");
    const nf_index_info untrained = twins.coded().info();
    check(untrained.code_bytes > 0 && untrained.rotated == 0,
          "%llu bytes of codes, rotated=%d before training",
          static_cast<unsigned long long>(untrained.code_bytes), untrained.rotated);
    twins.coded().train(7);
    twins.compare("trained");
    twins.add(p.data().matrix(first, rows - first));
    twins.compare("rows added after training");
    twins.set_live(every(rows, 4, 3), false);
    twins.replace(every(rows, 5, 2), fresh.matrix(0, static_cast<int64_t>(every(rows, 5, 2).size())));
    twins.compare("rows removed and replaced");
    twins.compact();
    twins.compare("compacted");
    // A training that is given up half-way, over and over: changes meet a slab that is coded anew.
    nf_step step{};
    ok(twins.coded().try_train(1, 8, &step), "index_train");
    for (int i = 0; i < 40 && step.done == 0; ++i) {
      ok(twins.coded().try_train(100'000, 8, &step), "index_train");
      const int64_t number[] = {i % twins.coded().info().rows};
      twins.replace(number, fresh.matrix(i % fresh.rows(), 1));
      if (i % 8 == 0) twins.add(fresh.matrix(i % fresh.rows(), 1));
      if (i % 16 == 0) twins.compare("in the middle of a training");
    }
    twins.compare("a training given up");
    twins.coded().train(9);
    twins.compare("trained again");
    const nf_index_info info = twins.coded().info();
    check(info.scanned_bytes > 0 && info.scanned_bytes <= info.whole_bytes && info.certified == info.searched,
          "%llu of %llu bytes scanned, %lld of %lld answers certified",
          static_cast<unsigned long long>(info.scanned_bytes),
          static_cast<unsigned long long>(info.whole_bytes), static_cast<long long>(info.certified),
          static_cast<long long>(info.searched));
  }
  p.check_inputs_unchanged();
}

// Under a cap: an answer that says so is the exact one, one that does not says why, and the division of the
// work changes nothing.
void test_codes_capped(const Bench& bench) {
  require_codes(bench);
  const Problem& p = bench.problem;
  const int64_t batch = bench.spec.batch, k = bench.spec.k;
  for (const ContextOptions& path : code_paths(bench)) {
    Index index(bench.backend, bench.backend.context(path), p.metric(), bench.spec.dim, 0, NF_I8);
    index.add(p.data().matrix());
    index.train(3);
    Results exact(batch, k);
    index.search(p.queries().matrix(), &exact);
    int64_t certified_before = -1;
    for (const float oversample : {1.0f, 2.0f, 4.5f, 16.0f, 1e9f}) {
      const auto cap =
          static_cast<int64_t>(std::ceil(static_cast<double>(oversample) * static_cast<double>(k)));
      SearchOptions options;
      options.max_oversample = oversample;
      Results capped(batch, k);
      index.search(p.queries().matrix(), &capped, options);
      int64_t certified = 0;
      for (int64_t q = 0; q < batch; ++q) {
        const std::string what =
            text("%s, max_oversample=%g", path.path.c_str(), static_cast<double>(oversample));
        check(cap >= bench.spec.rows || capped.rescored(q) <= cap, "%s: %d rows of query %lld rescored",
              what.c_str(), capped.rescored(q), static_cast<long long>(q));
        if (capped.certified(q)) capped.check_same(q, exact, q, k, (what + ", certified").c_str());
        check(capped.certified(q) || cap < bench.spec.rows,
              "%s: query %lld is not certified with all rows rescored", what.c_str(),
              static_cast<long long>(q));
        certified += capped.certified(q) ? 1 : 0;
        if (q >= 3) continue;
        Results one(1, k);
        index.search(p.queries().matrix(q, 1), &one, options);
        one.check_same(0, capped, q, k, (what + ", alone").c_str());
        check(one.certified(0) == capped.certified(q), "%s: query %lld is certified in one of two batches",
              what.c_str(), static_cast<long long>(q));
      }
      check(certified >= certified_before, "max_oversample=%g certifies %lld answers, a smaller one %lld",
            static_cast<double>(oversample), static_cast<long long>(certified),
            static_cast<long long>(certified_before));
      certified_before = certified;
    }
    SearchOptions options;
    options.max_oversample = 1;
    options.flags = NF_EXACT;
    Results again(batch, k);
    index.search(p.queries().matrix(), &again, options);
    again.check_same(exact, "NF_EXACT under a cap and without one");
  }
}

}  // namespace nearfield::test
