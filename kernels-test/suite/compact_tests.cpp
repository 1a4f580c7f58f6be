// SPDX-License-Identifier: Apache-2.0
// Compaction, at once and in steps with other calls between them.
#include <algorithm>
#include <span>

#include "check.hpp"
#include "model.hpp"
#include "random.hpp"
#include "tests.hpp"

namespace nearfield::test {
namespace {

Vectors fresh(const Bench& bench, int64_t rows, uint64_t salt) {
  Vectors made(rows, bench.spec.dim, bench.spec.padded);
  generate(bench.spec.data, bench.spec.metric, bench.problem.seed(), bench.problem.seed() + salt, &made);
  return made;
}

void remove(Index* index, Model* model, std::vector<uint8_t>* since, int64_t row) {
  const int64_t rows[] = {row};
  index->set_live(rows, false);
  if (model->live(row) && since != nullptr) (*since)[static_cast<size_t>(row)] = 1;
  model->set_live(row, false);
}

void fill(const Bench& bench, Index* index, Model* model) {
  index->add(bench.problem.data().matrix());
  model->add(bench.problem.data());
  Random random(bench.problem.seed());
  for (int64_t row = 0; row < model->rows(); ++row)
    if (random.below(3) == 0) remove(index, model, nullptr, row);
}

void check_all(const Bench& bench, Index* index, const Model& model) {
  model.check_search(*index, bench.problem.queries(), bench.spec.k, nullptr);
  model.check_stored(*index);
}

void at_once(const Bench& bench) {
  Index index(bench.backend, bench.context(), bench.spec.metric, bench.spec.dim);
  Model model(bench.spec.metric, bench.spec.dim);
  fill(bench, &index, &model);
  model.compact(index.compact(), std::vector<uint8_t>(static_cast<size_t>(model.rows())));
  check_all(bench, &index, model);
  // Nothing is dead now: a second one changes nothing.
  model.compact(index.compact(), std::vector<uint8_t>(static_cast<size_t>(model.rows())));
  check_all(bench, &index, model);
  for (int64_t row = 0; row < model.rows(); ++row) remove(&index, &model, nullptr, row);
  model.compact(index.compact(), std::vector<uint8_t>(static_cast<size_t>(model.rows())));
  check(model.rows() == 0, "compacting an index of dead rows left %lld",
        static_cast<long long>(model.rows()));
  const Vectors more = fresh(bench, 5, 11);
  check(index.add(more.matrix()) == 0, "the first row after compacting to nothing is not 0");
  model.add(more);
  check_all(bench, &index, model);
}

// Between steps of a third of the rows the index is searched and changed, in rows that were copied and in
// rows that were not.
void in_steps(const Bench& bench, bool revive_dropped) {
  Index index(bench.backend, bench.context(), bench.spec.metric, bench.spec.dim);
  Model model(bench.spec.metric, bench.spec.dim);
  fill(bench, &index, &model);
  std::vector<uint8_t> since(static_cast<size_t>(model.rows()));
  Random random(bench.problem.seed() + 1);
  const auto set_live = [&](int64_t row, bool live) {
    if (!live) return remove(&index, &model, &since, row);
    index.set_live(std::span(&row, 1), true);
    model.set_live(row, true);
  };
  const auto change = [&](int64_t step, int64_t quarter) {
    const int64_t rows = model.rows() / 4;
    const auto pick = [&](bool live) {
      int64_t row = quarter * rows + random.below(rows);
      while (model.live(row) != live) row = quarter * rows + (row + 1) % rows;
      return row;
    };
    set_live(pick(true), false);
    const int64_t back = pick(true);
    set_live(back, false);
    index.set_live_range(back, 1, true);
    model.set_live(back, true);
    // A range over rows of both kinds, which may reach past what is copied.
    const int64_t first = quarter * rows + random.below(rows / 2);
    const int64_t count = 1 + random.below(rows / 4);
    index.set_live_range(first, count, false);
    for (int64_t row = first; row < first + count; ++row) {
      if (model.live(row)) since[static_cast<size_t>(row)] = 1;
      model.set_live(row, false);
    }
    std::vector<int64_t> replaced;  // one of each half of a group
    for (int64_t row = quarter * rows; row < (quarter + 1) * rows; row += 16) replaced.push_back(row);
    const Vectors with =
        fresh(bench, static_cast<int64_t>(replaced.size()), static_cast<uint64_t>(200 + 10 * step + quarter));
    index.replace(replaced, with.matrix());
    for (size_t i = 0; i < replaced.size(); ++i)
      model.replace(replaced[i], with.row(static_cast<int64_t>(i)));
    // One that was dead when its turn came: the copy has no place for it, and all begins anew.
    if (revive_dropped && step == 0 && quarter == 0) {
      int64_t row = 0;
      while (model.live(row) || since[static_cast<size_t>(row)] != 0) ++row;
      set_live(row, true);
    }
  };
  constexpr int64_t kChanges = 2;  // later the index is left alone, so that the end is reached
  NewRows numbers;
  for (int64_t step = 0;; ++step) {
    check(step < 1'000'000, "compact is not done after %lld steps", static_cast<long long>(step));
    ok(index.try_compact(1, model.rows() / 3 + 5, &numbers), "a step of index_compact");
    if (numbers.done) {
      model.compact(numbers.of, since);
      break;
    }
    if (step >= kChanges) continue;
    for (int64_t quarter = 0; quarter < 4; ++quarter) change(step, quarter);
    const Vectors more = fresh(bench, 3, 100 + static_cast<uint64_t>(step));
    index.add(more.matrix());
    model.add(more);
    since.resize(static_cast<size_t>(model.rows()));
    check_all(bench, &index, model);
  }
  check_all(bench, &index, model);
}

// Windows of any size, the last word of one shared with the next; the last step passes no more rows than the
// others. One that nobody goes on with leaves nothing behind for the next.
void in_windows(const Bench& bench) {
  Index index(bench.backend, bench.context(), bench.spec.metric, bench.spec.dim);
  Model model(bench.spec.metric, bench.spec.dim);
  fill(bench, &index, &model);
  NewRows given_up;
  ok(index.try_compact(0, 45, &given_up), "a step of index_compact");
  NewRows none;
  fails(index.try_compact(0, 0, &none), NF_INVALID_ARGUMENT, "compact with room for no row");
  check_all(bench, &index, model);
  const Vectors more = fresh(bench, 45, 12);
  index.add(more.matrix());
  model.add(more);

  NewRows numbers;
  const int64_t window = model.rows() / 4 + 3;
  int64_t steps = 0;
  for (; !numbers.done; ++steps) {
    check(static_cast<int64_t>(numbers.of.size()) == std::min(model.rows(), steps * window),
          "compact passed %zu rows in %lld steps of %lld", numbers.of.size(), static_cast<long long>(steps),
          static_cast<long long>(window));
    ok(index.try_compact(0, window, &numbers), "a step of index_compact");
  }
  check(steps == (model.rows() + window - 1) / window, "compact took %lld steps",
        static_cast<long long>(steps));
  model.compact(numbers.of, std::vector<uint8_t>(static_cast<size_t>(model.rows())));
  check_all(bench, &index, model);
}

// Numbers of rows that all live come in windows as well. What dies meanwhile keeps its new number.
void nothing_dead(const Bench& bench) {
  Index index(bench.backend, bench.context(), bench.spec.metric, bench.spec.dim);
  Model model(bench.spec.metric, bench.spec.dim);
  index.add(bench.problem.data().matrix());
  model.add(bench.problem.data());
  std::vector<uint8_t> since(static_cast<size_t>(model.rows()));
  const uint64_t bytes = index.info().device_bytes;
  NewRows numbers;
  for (int64_t step = 0; !numbers.done; ++step) {
    ok(index.try_compact(0, model.rows() / 3 + 1, &numbers), "a step of index_compact");
    check(index.info().device_bytes == bytes, "compacting an index without dead rows took memory");
    if (!numbers.done) remove(&index, &model, &since, step * (model.rows() - 1));  // the first, then the last
  }
  model.compact(numbers.of, since);
  check_all(bench, &index, model);
}

}  // namespace

void test_compact(const Bench& bench) {
  at_once(bench);
  in_steps(bench, false);
  in_steps(bench, true);
  in_windows(bench);
  nothing_dead(bench);
}

}  // namespace nearfield::test
