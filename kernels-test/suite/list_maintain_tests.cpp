// SPDX-License-Identifier: Apache-2.0
// Maintenance of lists: whatever happens between its steps, answers are those of a flat index over the lists
// that were looked into, and every row is in the list of its nearest centroid.
#include <algorithm>
#include <cmath>

#include "random.hpp"
#include "twins.hpp"

namespace nearfield::test {
namespace {

// Rows near to one of the data, nine parts of it and one of another: a list that outgrows the others.
Vectors clump(const Bench& bench, int64_t rows, int64_t about) {
  const Vectors& data = bench.problem.data();
  Vectors made(rows, bench.spec.dim, bench.spec.padded);
  std::vector<float> row(static_cast<size_t>(bench.spec.dim));
  // Where norms are the least that cosine takes, twice that.
  const float scale = bench.spec.data == Data::TINY ? 2 : 1;
  for (int64_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < row.size(); ++j)
      row[j] = scale * (0.9f * data.row(about)[j] + 0.1f * data.row(i % data.rows())[j]);
    made.set_row(i, row.data());
  }
  return made;
}

// Live rows of each list.
std::vector<int64_t> sizes_of(const Index::Lists& lists, const std::vector<bool>& live) {
  std::vector<int64_t> sizes(static_cast<size_t>(lists.centroids.rows()), 0);
  for (size_t row = 0; row < live.size(); ++row)
    if (live[row]) ++sizes[static_cast<size_t>(lists.of_row[row])];
  return sizes;
}

class Maintenance {
 public:
  Maintenance(const Bench& bench, const ContextOptions& path, int32_t scan_dtype)
      : bench_(bench), twins_(bench, path, scan_dtype) {}

  void run() {
    const Problem& p = bench_.problem;
    nf_maintain done = twins_.listed().maintain();
    check(done.split == 0 && done.merged == 0 && done.moved == 0, "%s: untrained lists are maintained",
          twins_.name());
    add(p.data());
    twins_.listed().train(7);
    rest("trained");
    grow();
    shrink();
    end_early();
    meet_compaction();
  }

 private:
  void add(const Vectors& rows) {
    twins_.add(rows.matrix());
    live_.resize(live_.size() + static_cast<size_t>(rows.rows()), true);
  }
  void set_live(const std::vector<int64_t>& rows, bool live) {
    twins_.set_live(rows, live);
    for (const int64_t row : rows) live_[static_cast<size_t>(row)] = live;
  }

  // Comes to its end, and after some times finds nothing to do.
  void rest(const char* when) {
    nf_maintain done = twins_.listed().maintain();
    for (int times = 0; done.split != 0 || done.merged != 0; ++times) {
      check(times < 8, "%s, %s: maintenance does not come to rest, %lld lists split, %lld merged",
            twins_.name(), when, static_cast<long long>(done.split), static_cast<long long>(done.merged));
      done = twins_.listed().maintain();
    }
    check(done.moved == 0, "%s, %s: %lld rows moved for nothing", twins_.name(), when,
          static_cast<long long>(done.moved));
    const std::vector<int64_t> sizes = sizes_of(twins_.listed().read_lists(), live_);
    const int64_t live = std::count(live_.begin(), live_.end(), true);
    const auto count = static_cast<int64_t>(sizes.size());
    // Rows that coincide stay together.
    if (bench_.spec.data == Data::GAUSS)
      for (const int64_t size : sizes)
        check(size * count <= 4 * live || size <= 64, "%s, %s: a list has %lld of %lld rows in %lld lists",
              twins_.name(), when, static_cast<long long>(size), static_cast<long long>(live),
              static_cast<long long>(count));
    twins_.compare(when, true);
  }

  // Rows that are added about one place between steps, while others change.
  void grow() {
    const int64_t rows = bench_.spec.rows;
    const Vectors fresh = clump(bench_, bench_.backend.is_slow() ? rows : 2 * rows, rows / 3);
    const int32_t lists = twins_.listed().info().lists;
    int64_t added = 0, split = 0;
    nf_step step{};
    const int64_t chunk = fresh.rows() / 16 + 1;
    for (int turn = 0; added < fresh.rows(); ++turn) {
      const int64_t count = std::min(chunk, fresh.rows() - added);
      twins_.add(fresh.matrix(added, count));
      live_.resize(live_.size() + static_cast<size_t>(count), true);
      added += count;
      const int64_t changed[] = {turn % rows, static_cast<int64_t>(live_.size()) - 1};
      for (int i = 0; i < 3 + turn; ++i) {
        nf_maintain done{};
        ok(twins_.listed().try_maintain(1, &step, &done), "index_maintain");
        split += done.split;
        if (step.done != 0) step = {};
        if (i == 1) twins_.replace(changed, fresh.matrix(turn, 2));
        if (i == 2) set_live({changed[0], changed[1] - turn}, turn % 3 == 0);
      }
      if (turn % 5 == 1) twins_.compare("rows added while lists are maintained");
    }
    // Another list to split, to the end with changes between steps, so that some meet each part of it.
    if (!bench_.backend.is_slow()) {
      split += twins_.listed().maintain().split;
      step = {};
      add(clump(bench_, rows, rows / 5));
    }
    for (int turn = 0, passing = 0; step.done == 0; ++turn) {
      check(turn < 100'000, "%s: index_maintain is not done", twins_.name());
      nf_maintain done{};
      ok(twins_.listed().try_maintain(1, &step, &done), "index_maintain");
      split += done.split;
      // Of the steps of the clustering fewer; and once every step brings changes there is no end.
      if (step.position == 0 ? turn % 8 != 0 : ++passing > 12) continue;
      // Rows all over the index become others, which belong to lists that stay.
      constexpr int64_t kChanged = 8;
      const int64_t part = static_cast<int64_t>(live_.size()) / kChanged;
      std::vector<int64_t> changed;
      for (int64_t i = 0; i < kChanged; ++i) changed.push_back(i * part + turn * 37 % part);
      twins_.replace(changed, bench_.problem.data().matrix(turn * kChanged % (rows - kChanged), kChanged));
      if (turn % 2 == 0) set_live({changed[static_cast<size_t>(turn / 2 % kChanged)]}, turn % 4 == 0);
    }
    twins_.compare("maintained among changes");
    split += twins_.listed().maintain().split;
    if (bench_.spec.data == Data::GAUSS)
      check(split > 0, "%s: no list is split of %d, of which there are %d now", twins_.name(), lists,
            twins_.listed().info().lists);
    rest("grown");
  }

  // Lists that lose most of their rows, some all.
  void shrink() {
    const Index::Lists lists = twins_.listed().read_lists();
    std::vector<int64_t> dead;
    for (size_t row = 0; row < live_.size(); ++row)
      if (lists.of_row[row] % 3 == 0 && (lists.of_row[row] % 2 == 0 || row % 16 != 0))
        dead.push_back(static_cast<int64_t>(row));
    set_live(dead, false);
    nf_maintain done = twins_.listed().maintain();
    check(bench_.spec.data != Data::GAUSS || (done.merged > 0 && done.moved > 0),
          "%s: none of %lld lists is merged", twins_.name(), static_cast<long long>(lists.centroids.rows()));
    twins_.compare("lists merged");
    set_live(dead, true);
    rest("rows back again");
  }

  // Cancelled after any number of steps: all is as it was, and the next one does it all.
  void end_early() {
    add(clump(bench_, bench_.spec.rows, 1));
    const Index::Lists before = twins_.listed().read_lists();
    const uint64_t bytes = twins_.listed().info().device_bytes;
    const uint32_t raised = 1;
    const int stride = bench_.backend.is_slow() ? 24 : 1;
    // All of the first steps and fewer of the later ones, each of which is reached from the beginning.
    for (int steps = 0;; steps += std::max(stride, steps / 4)) {
      nf_step step{};
      nf_maintain done{};
      for (int i = 0; i < steps && step.done == 0; ++i)
        ok(twins_.listed().try_maintain(1, &step, &done), "index_maintain");
      if (step.done != 0) break;
      fails(twins_.listed().try_maintain(1, &step, &done, &raised), NF_CANCELLED, "index_maintain");
      check(twins_.listed().read_lists().of_row == before.of_row,
            "%s: cancelled after %d steps, rows are in other lists", twins_.name(), steps);
      check(twins_.listed().info().device_bytes == bytes,
            "%s: cancelled after %d steps, %llu bytes are held, before %llu", twins_.name(), steps,
            static_cast<unsigned long long>(twins_.listed().info().device_bytes),
            static_cast<unsigned long long>(bytes));
    }
    rest("after the cancelled ones");
  }

  // Either may end first.
  void meet_compaction() {
    for (const int steps : {1, 6, 12}) {
      if (bench_.backend.is_slow() && steps != 6) continue;
      add(clump(bench_, bench_.spec.rows / 2, steps));
      set_live(every(static_cast<int64_t>(live_.size()), 7, steps), false);
      nf_step step{};
      nf_maintain done{};
      for (int i = 0; i < steps && step.done == 0; ++i)
        ok(twins_.listed().try_maintain(1, &step, &done), "index_maintain");
      twins_.compact();
      live_.assign(static_cast<size_t>(twins_.listed().info().rows), true);
      if (step.done == 0) ok(twins_.listed().try_maintain(0, &step, &done), "index_maintain");
      check(step.done == 1, "index_maintain without a budget is not done");
      twins_.compare("compacted while lists are maintained");
    }
    rest("compacted");
  }

  const Bench& bench_;
  Twins twins_;
  std::vector<bool> live_;
};

}  // namespace

void test_lists_maintain(const Bench& bench) {
  require_lists(bench);
  for (const auto& [path, scan_dtype] : list_ways(bench)) Maintenance(bench, path, scan_dtype).run();
  bench.problem.check_inputs_unchanged();
}

namespace {

// Rows about ten times an axis and, of that place's four parts, twice another axis.
Vectors about_axis(const Bench& bench, int64_t rows, int32_t axis, bool has_parts) {
  Random random(bench.problem.seed() + static_cast<uint64_t>(axis));
  Vectors made(rows, bench.spec.dim, false);
  for (int64_t i = 0; i < rows; ++i) {
    for (int32_t j = 0; j < bench.spec.dim; ++j)
      made.row(i)[j] = j < 32 ? static_cast<float>(0.1 * random.gauss()) : 0;
    made.row(i)[axis] += 10;
    if (has_parts) made.row(i)[20 + i % 4] += 2;
  }
  return made;
}

}  // namespace

// Rows that change while some are assigned to their lists and others are not yet: those here are so long that
// a step assigns 511 of them. What they become is of lists that stay, far from the one that is split.
void test_lists_maintain_wide(const Bench& bench) {
  require_lists(bench);
  require_speed(bench);
  Twins twins(bench, {.threads = 2}, NF_F32);
  for (int32_t axis = 0; axis < 12; ++axis) twins.add(about_axis(bench, 40, axis, false).matrix());
  twins.listed().train(7);
  twins.add(about_axis(bench, 1200, 0, true).matrix());
  const Vectors last = about_axis(bench, 64, 1, false), other = about_axis(bench, 64, 2, false);
  twins.add(last.matrix());
  const int64_t rows = twins.listed().info().rows;
  nf_step step{};
  nf_maintain done{};
  while (step.position == 0) {
    ok(twins.listed().try_maintain(1, &step, &done), "index_maintain");
    check(step.done == 0, "no list is split");
  }
  check(step.position < rows / 2, "all rows are assigned at once");
  twins.replace(every(rows, 1, rows - 64), other.matrix());
  ok(twins.listed().try_maintain(0, &step, &done), "index_maintain");
  check(step.done == 1 && done.split > 0, "no list is split");
  twins.compare("rows changed before they were assigned", true);
}

// The device's memory ends at one point after another; the index is then as it was.
void test_lists_maintain_memory(const Bench& bench) {
  require_lists(bench);
  require_speed(bench);
  const Vectors more = clump(bench, 3 * bench.spec.rows, 5);
  const nf_matrix queries = bench.problem.queries().matrix();
  const int64_t batch = bench.spec.batch, k = bench.spec.k;
  int refused = 0, served = 0;
  uint64_t bytes = 0;
  for (int percent = 0; percent <= 300; percent += 10) {
    const uint64_t limit = bytes * static_cast<uint64_t>(percent) / 100;
    nf_context* const context = bench.backend.context({.threads = 2, .memory_limit = limit});
    Index index(bench.backend, context, bench.spec.metric, bench.spec.dim, 0, NF_F32, 0, NF_IVF);
    int64_t first = 0;
    index.train_on(bench.problem.data().matrix(), 3);
    if (index.try_add(bench.problem.data().matrix(), &first).code != NF_OK ||
        index.try_add(more.matrix(), &first).code != NF_OK) {
      check(limit != 0 && percent <= 100, "%d%% of the memory do not hold the rows", percent);
      percent = std::max(percent, 90);
      continue;
    }
    if (bytes == 0) bytes = index.info().device_bytes;
    const uint64_t held = index.info().device_bytes;
    const Index::Lists before = index.read_lists();
    Results wanted(batch, k), found(batch, k);
    index.search(queries, &wanted, {.probes = 2});
    nf_step step{};
    nf_maintain done{};
    const Answer answer = index.try_maintain(0, &step, &done);
    if (answer.code == NF_OK) {
      ++served;
      check(done.split > 0, "no list is split");
      continue;
    }
    ++refused;
    fails(answer, NF_RESOURCE_EXHAUSTED, "index_maintain");
    check(step.done == 0 && step.position == 0 && done.split == 0, "a step that failed wrote its results");
    check(index.read_lists().of_row == before.of_row, "rows are in other lists after a step that failed");
    index.search(queries, &found, {.probes = 2});
    found.check_same(wanted, "after a step that failed");
    check(index.info().device_bytes == held, "%llu bytes are held after a step that failed, before %llu",
          static_cast<unsigned long long>(index.info().device_bytes), static_cast<unsigned long long>(held));
  }
  check(refused > 0 && served > 1, "%d maintenances were refused for memory, %d served", refused, served);
}

}  // namespace nearfield::test
