// SPDX-License-Identifier: Apache-2.0
// The same query over the same rows gives the same bits, however it is computed.
#include <algorithm>
#include <cmath>
#include <memory>

#include "check.hpp"
#include "index.hpp"
#include "tests.hpp"

namespace nearfield::test {
namespace {

Results search_in(const Bench& bench, const ContextOptions& options) {
  const Problem& p = bench.problem;
  Index index(bench.backend, bench.backend.context(options), p.metric(), bench.spec.dim);
  index.add(p.data().matrix());
  Results results(bench.spec.batch, bench.spec.k);
  index.search(p.queries().matrix(), &results);
  return results;
}

// The default answer is right, and every other context answers the same.
void compare(const Bench& bench, const std::vector<std::pair<std::string, ContextOptions>>& others) {
  const Results usual = search_in(bench, {});
  bench.problem.check_ranking(usual);
  for (const auto& [what, options] : others)
    search_in(bench, options).check_same(usual, (what + " and default").c_str());
}

}  // namespace

void test_bits_batch(const Bench& bench) {
  const Problem& p = bench.problem;
  const int64_t batch = bench.spec.batch;
  Index index(bench.backend, bench.context(), p.metric(), bench.spec.dim);
  index.add(p.data().matrix());
  Results whole(batch, bench.spec.k);
  index.search(p.queries().matrix(), &whole);
  p.check_ranking(whole);
  // In ones, and in parts that do not divide the batch.
  for (const int64_t part : {int64_t{1}, int64_t{2}, int64_t{7}, int64_t{33}}) {
    // In ones only a few: each is a call.
    const int64_t end = part == 1 ? std::min<int64_t>(batch, 9) : batch;
    for (int64_t first = 0; first < end; first += part) {
      const int64_t size = std::min(part, end - first);
      Results some(size, bench.spec.k);
      index.search(p.queries().matrix(first, size), &some);
      for (int64_t q = 0; q < size; ++q)
        some.check_same(
            q, whole, first + q, bench.spec.k,
            text("batches of %lld and %lld", static_cast<long long>(size), static_cast<long long>(batch))
                .c_str());
    }
  }
}

// In as little workspace as the search can do with, so that the batch is taken in parts.
void test_bits_workspace(const Bench& bench) {
  const Problem& p = bench.problem;
  const Results usual = search_in(bench, {});
  p.check_ranking(usual);
  // Backends differ in what they keep beside the queries: the first size that is enough will do.
  for (uint64_t bytes = uint64_t{16} << 10;; bytes *= 4) {
    check(bytes <= uint64_t{1} << 30, "no workspace of up to 1 GiB is enough");
    nf_context* context = nullptr;
    const Answer made = bench.backend.try_context({.threads = 2, .workspace_limit = bytes}, &context);
    if (made.code == NF_RESOURCE_EXHAUSTED) continue;
    ok(made, "context_create");
    const auto destroy = [&](nf_context* c) { bench.backend.api().context_destroy(c); };
    const std::unique_ptr<nf_context, decltype(destroy)> owner(context, destroy);
    Index index(bench.backend, context, p.metric(), bench.spec.dim);
    int64_t first = 0;
    const Answer added = index.try_add(p.data().matrix(), &first);
    if (added.code == NF_RESOURCE_EXHAUSTED) continue;
    ok(added, "index_add");
    Results parts(bench.spec.batch, bench.spec.k);
    const Answer found = index.try_search(p.queries().matrix(), &parts);
    if (found.code == NF_RESOURCE_EXHAUSTED) continue;
    ok(found, "index_search");
    parts.check_form();
    parts.check_same(
        usual,
        text("a workspace of %llu bytes and the default", static_cast<unsigned long long>(bytes)).c_str());
    return;
  }
}

void test_bits_threads(const Bench& bench) {
  compare(bench,
          {{"1 thread", {.threads = 1}}, {"2 threads", {.threads = 2}}, {"5 threads", {.threads = 5}}});
}

void test_bits_slabs(const Bench& bench) {
  // Three groups of 32 rows, and a binding that holds one group.
  const auto group = static_cast<uint64_t>((bench.spec.dim + 3) / 4 * 4) * 32 * sizeof(float);
  compare(bench, {{"slabs of one group", {.slab_bytes = 1}},
                  {"slabs of three groups", {.slab_bytes = 3 * group}},
                  {"bindings of one group", {.max_binding_bytes = group}},
                  {"slabs of three groups in bindings of two",
                   {.slab_bytes = 3 * group, .max_binding_bytes = 2 * group}}});
}

void test_bits_paths(const Bench& bench) {
  std::vector<std::pair<std::string, ContextOptions>> paths;
  for (const std::string& path : bench.backend.paths()) paths.push_back({"path " + path, {.path = path}});
  if (paths.empty()) throw NotApplicable("no path to force on this machine");
  compare(bench, paths);
}

// Work divided as on a large GPU: what the default constants of a software GPU and of the emulators never do.
// Which branches these shapes reach is the matter of native/gpu/test/division_test.cpp.
void test_bits_hardware(const Bench& bench) {
  const std::vector<std::string>& paths = bench.backend.paths();
  if (std::find(paths.begin(), paths.end(), "hardware") == paths.end())
    throw NotApplicable("no GPU's constants to force");
  compare(bench, {{"path hardware", {.path = "hardware"}}});
}

// Two backends may round differently: their distances for a row differ by no more than twice its bound, so
// the i-th smallest distances of both differ by no more than twice the bounds of the rows that may stand
// there.
void test_agree(const Bench& bench) {
  if (bench.reference == nullptr) throw NotApplicable("no other backend to agree with");
  const Problem& p = bench.problem;
  const Results mine = search_in(bench, {});
  const Results theirs = search_in({*bench.reference, nullptr, bench.spec, p}, {});
  for (int64_t q = 0; q < bench.spec.batch; ++q) {
    check(mine.count(q) == theirs.count(q), "query %lld: %d results, %s has %d", static_cast<long long>(q),
          mine.count(q), bench.reference->row().c_str(), theirs.count(q));
    for (int64_t i = 0; i < mine.count(q); ++i) {
      const oracle::Distance a = p.pair(q, mine.row(q, i));
      const oracle::Distance b = p.pair(q, theirs.row(q, i));
      const double gap = std::fabs(static_cast<double>(mine.distance(q, i)) - theirs.distance(q, i));
      check(gap <= 2 * (a.bound + b.bound),
            "query %lld, result %lld: row %lld at %.9g, %s has row %lld at %.9g, bounds %.3g and %.3g",
            static_cast<long long>(q), static_cast<long long>(i), static_cast<long long>(mine.row(q, i)),
            static_cast<double>(mine.distance(q, i)), bench.reference->row().c_str(),
            static_cast<long long>(theirs.row(q, i)), static_cast<double>(theirs.distance(q, i)), a.bound,
            b.bound);
    }
  }
  p.check_inputs_unchanged();
}

}  // namespace nearfield::test
