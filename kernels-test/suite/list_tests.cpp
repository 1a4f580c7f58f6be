// SPDX-License-Identifier: Apache-2.0
// Indexes with lists answer, over the lists that a query looks into, as a flat index over the same rows does,
// bit for bit, whatever has changed since they were trained.
#include <algorithm>

#include "twins.hpp"

namespace nearfield::test {

void require_lists(const Bench& bench) {
  for (const int32_t scan_dtype : {NF_F32, NF_I8}) {
    nf_capability what{};
    what.struct_size = sizeof(what);
    what.op = NF_OP_INDEX;
    what.index_kind = NF_IVF;
    what.metric = bench.spec.metric;
    what.input_dtype = what.store_dtype = NF_F32;
    what.scan_dtype = scan_dtype;
    if (bench.backend.api().supports(bench.context(), &what) != 1)
      throw NotApplicable(text("no lists for %s", metric_name(bench.spec.metric)));
  }
}

void require_speed(const Bench& bench) {
  if (bench.backend.is_slow()) throw NotApplicable("too long on an emulated device");
}

std::vector<ContextOptions> list_paths(const Bench& bench) {
  std::vector<ContextOptions> paths = code_paths(bench);
  // Of a list that several queries look into each then takes all by itself, of lists alone.
  for (const std::string& path : bench.backend.paths())
    if (path == "codes-query-major")
      paths.push_back({.threads = 2, .slab_bytes = bench.spec.tiny_slabs ? 1u : 0u, .path = path});
  if (bench.backend.is_slow() && !bench.spec.tiny_slabs)
    std::erase_if(paths, [](const ContextOptions& path) { return path.path != "codes"; });
  return paths;
}

std::vector<std::pair<ContextOptions, int32_t>> list_ways(const Bench& bench) {
  std::vector<std::pair<ContextOptions, int32_t>> ways;
  ways.push_back({{.threads = 2, .slab_bytes = bench.spec.tiny_slabs ? 1u : 0u, .path = {}}, NF_F32});
  for (const ContextOptions& path : list_paths(bench)) ways.push_back({path, NF_I8});
  return ways;
}

void test_lists(const Bench& bench) {
  require_lists(bench);
  const Problem& p = bench.problem;
  const int64_t rows = bench.spec.rows, first = rows * 2 / 3 + 1;
  Vectors fresh((rows + 4) / 5, bench.spec.dim, bench.spec.padded);
  generate(bench.spec.data, p.metric(), p.seed(), p.seed() + 3, &fresh);
  for (const auto& [path, scan_dtype] : list_ways(bench)) {
    Twins twins(bench, path, scan_dtype);
    twins.add(p.data().matrix(0, first));
    twins.compare("before training");
    twins.listed().train(7);
    check(twins.listed().info().trained == 1 && twins.listed().info().lists > 0, "trained=%d with %d lists",
          twins.listed().info().trained, twins.listed().info().lists);
    twins.compare("trained", true);
    twins.add(p.data().matrix(first, rows - first));
    twins.compare("rows added after training");
    twins.set_live(every(rows, 4, 3), false);
    twins.replace(every(rows, 5, 2), fresh.matrix(0, static_cast<int64_t>(every(rows, 5, 2).size())));
    twins.compare("rows removed and replaced");
    twins.compact();
    twins.compare("compacted");
    // Changes meet lists that are being built.
    nf_step step{};
    int steps = 0;
    const int most_steps = bench.backend.is_slow() ? 60 : 400;
    for (; steps < most_steps && step.done == 0; ++steps) {
      ok(twins.listed().try_train(1, 8, &step), "index_train");
      const int64_t number[] = {steps % twins.listed().info().rows};
      if (steps % 3 == 0) twins.replace(number, fresh.matrix(steps % fresh.rows(), 1));
      if (steps % 5 == 0) twins.add(fresh.matrix(steps % fresh.rows(), 1), steps % 2 == 0 ? NF_HIDDEN : 0);
      if (steps % 2 != 0) twins.set_live(number, steps % 8 == 1);
    }
    while (step.done == 0) ok(twins.listed().try_train(0, 8, &step), "index_train");
    twins.compare("trained again among changes", true);
    const Index::Lists saved = twins.listed().read_lists();
    ok(twins.listed().try_write_lists(saved.centroids.matrix(), saved.of_row), "index_write_lists");
    check(twins.listed().read_lists().of_row == saved.of_row, "rows are in other lists than were written");
    twins.compare("lists written");
  }
  p.check_inputs_unchanged();
}

void test_lists_many(const Bench& bench) {
  require_speed(bench);
  test_lists(bench);
}

}  // namespace nearfield::test
