// SPDX-License-Identifier: Apache-2.0
// Compaction in steps against a plain model, with every kind of change between its steps.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "harness.hpp"

namespace nearfield_test {
namespace {

// Wide rows, so that a step's block of 4 MiB holds 256 of them and an index of a thousand takes several
// steps.
constexpr int32_t kWide = 4096;

// A row is known by its first value; the rest follows from it.
std::vector<float> row_of(int32_t id) {
  std::vector<float> row(kWide);
  for (int32_t i = 0; i < kWide; ++i)
    row[static_cast<size_t>(i)] = static_cast<float>((id * 31 + i * 7) % 97);
  row[0] = static_cast<float>(id);
  return row;
}

class Model {
 public:
  Model(const Bench& bench, nf_context* context, uint64_t seed)
      : bench_(bench), random_(seed), index_(bench.index(context, NF_L2SQ, kWide)) {}

  int64_t below(int64_t limit) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(limit)); }
  int64_t rows() const { return static_cast<int64_t>(rows_.size()); }

  void add(int64_t count, bool live = true) {
    std::vector<float> data;
    for (int64_t i = 0; i < count; ++i) {
      const std::vector<float> row = row_of(next_id_);
      data.insert(data.end(), row.begin(), row.end());
      rows_.push_back({next_id_++, live});
    }
    bench_.add(index_.get(), data, kWide, live ? 0 : NF_HIDDEN);
  }

  void replace(int64_t count) {
    const std::vector<int64_t> numbers = some(count);
    std::vector<float> data;
    for (const int64_t row : numbers) {
      rows_[static_cast<size_t>(row)].id = next_id_;
      const std::vector<float> vector = row_of(next_id_++);
      data.insert(data.end(), vector.begin(), vector.end());
    }
    Caller caller;
    const nf_matrix matrix = matrix_of(data, kWide);
    bench_.ok(bench_.api->index_replace(index_.get(), numbers.data(), &matrix, &caller.call), "replace",
              caller);
  }

  void set_live(int64_t count, bool live) {
    const std::vector<int64_t> numbers = some(count);
    for (const int64_t row : numbers) rows_[static_cast<size_t>(row)].live = live;
    bench_.set_live(index_.get(), numbers, live);
  }

  void set_range(int64_t count, bool live) {
    const int64_t first = below(rows());
    count = std::min(count, rows() - first);
    for (int64_t row = first; row < first + count; ++row) rows_[static_cast<size_t>(row)].live = live;
    bench_.set_live_range(index_.get(), first, count, live);
  }

  // One step; true when the compaction is done and the model follows it.
  bool step(int64_t budget_ns, int64_t window) {
    Caller caller;
    const auto before = static_cast<int64_t>(new_row_.size());
    std::vector<int64_t> numbers(static_cast<size_t>(window) + 3, kUntouched);
    nf_compact compact = sized<nf_compact>();
    compact.new_row = numbers.data();
    compact.new_row_count = window;
    nf_step step = sized<nf_step>();
    step.budget_ns = budget_ns;
    step.position = before;
    int64_t progress[3] = {};
    caller.call.progress = progress;
    if (!bench_.ok(bench_.api->index_compact(index_.get(), &compact, &step, &caller.call), "compact", caller))
      return true;
    bench_.report->check(progress[0] == 0 || (progress[1] <= progress[2] && progress[2] == rows()),
                         "compact: progress words");
    const int64_t passed = step.position - compact.first_row;
    bench_.report->check(compact.first_row == 0 || compact.first_row == before, "compact: first_row");
    bench_.report->check(passed >= 0 && passed <= window && (step.done == 1) == (step.position == rows()),
                         "compact: position", std::to_string(passed) + " of " + std::to_string(window));
    bench_.report->check(
        std::count(numbers.begin() + passed, numbers.end(), kUntouched) == window + 3 - passed &&
            std::count(numbers.begin(), numbers.begin() + passed, kUntouched) == 0,
        "compact: new_row", "other numbers than those of the rows passed");
    new_row_.resize(static_cast<size_t>(compact.first_row));
    new_row_.insert(new_row_.end(), numbers.begin(), numbers.begin() + passed);
    if (step.done == 0) return false;
    follow(new_row_);
    new_row_.clear();
    return true;
  }

  // Another compaction begins with the next step.
  void give_up() { new_row_.clear(); }

  void cancelled() {
    Caller caller;
    const uint32_t cancel = 1;
    caller.call.cancel = &cancel;
    std::vector<int64_t> numbers(rows_.size(), kUntouched);
    nf_compact compact = sized<nf_compact>();
    compact.new_row = numbers.data();
    compact.new_row_count = rows();
    compact.first_row = kUntouched;
    nf_step step = sized<nf_step>();
    step.position = static_cast<int64_t>(new_row_.size());
    const nf_step as_it_was = step;
    const nf_status status = bench_.api->index_compact(index_.get(), &compact, &step, &caller.call);
    bench_.report->check(status == NF_CANCELLED, "compact: cancelled", caller.error.message);
    bench_.report->check(std::memcmp(&step, &as_it_was, sizeof(step)) == 0 &&
                             compact.first_row == kUntouched &&
                             std::count(numbers.begin(), numbers.end(), kUntouched) == rows(),
                         "compact: cancelled", "outputs were written");
  }

  // Numbers, vectors and live rows of the index are those of the model.
  void verify(const std::string& when) {
    const nf_index_info info = bench_.info(index_.get());
    const auto live = std::count_if(rows_.begin(), rows_.end(), [](const Row& r) { return r.live; });
    bench_.report->check(info.rows == rows() && info.live_rows == live, when + ": rows",
                         std::to_string(info.rows) + " of " + std::to_string(rows()) + ", live " +
                             std::to_string(info.live_rows) + " of " + std::to_string(live));
    Caller caller;
    std::vector<int64_t> numbers(rows_.size());
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int64_t>(i);
    std::vector<float> data(rows_.size() * kWide);
    nf_matrix out = matrix_of(data, kWide);
    bench_.ok(bench_.api->index_read(index_.get(), numbers.data(), &out, &caller.call), "read", caller);
    bool same = true;
    for (size_t i = 0; i < rows_.size(); ++i)
      same = same &&
             std::equal(data.begin() + static_cast<ptrdiff_t>(i * kWide),
                        data.begin() + static_cast<ptrdiff_t>((i + 1) * kWide), row_of(rows_[i].id).begin());
    bench_.report->check(same, when + ": vectors", "differ from the model");

    // Every live row is found, and no other.
    std::vector<int64_t> found(rows_.size() + 1);
    std::vector<float> distances(found.size());
    const std::vector<float> query = row_of(0);
    const nf_matrix queries = matrix_of(query, kWide);
    nf_result result = sized<nf_result>();
    result.k = static_cast<int32_t>(found.size());
    result.row_stride = result.k;
    result.rows = found.data();
    result.distances = distances.data();
    nf_search search = sized<nf_search>();
    search.queries = &queries;
    search.result = &result;
    bench_.ok(bench_.api->index_search(index_.get(), &search, &caller.call), "search", caller);
    std::vector<int64_t> expected;
    for (int64_t i = 0; i < rows(); ++i)
      if (rows_[static_cast<size_t>(i)].live) expected.push_back(i);
    found.erase(std::remove(found.begin(), found.end(), -1), found.end());
    std::sort(found.begin(), found.end());
    bench_.report->check(found == expected, when + ": live rows", "search finds others");
  }

 private:
  static constexpr int64_t kUntouched = -2;
  struct Row {
    int32_t id;
    bool live;
  };

  std::vector<int64_t> some(int64_t count) {
    std::vector<int64_t> numbers;
    for (int64_t i = 0; i < count; ++i) numbers.push_back(below(rows()));
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    return numbers;
  }

  void follow(const std::vector<int64_t>& new_row) {
    std::vector<Row> kept;
    bool ascending = true, only_dead_dropped = true;
    for (size_t i = 0; i < rows_.size(); ++i) {
      if (new_row[i] < 0) {
        only_dead_dropped = only_dead_dropped && new_row[i] == -1 && !rows_[i].live;
      } else {
        ascending = ascending && new_row[i] == static_cast<int64_t>(kept.size());
        kept.push_back(rows_[i]);
      }
    }
    bench_.report->check(ascending, "compact: new numbers", "are not 0, 1, 2 ... in the old order");
    bench_.report->check(only_dead_dropped, "compact: dropped rows", "one was alive");
    rows_ = std::move(kept);
  }

  const Bench& bench_;
  std::mt19937_64 random_;
  IndexHandle index_;
  std::vector<Row> rows_;
  std::vector<int64_t> new_row_;  // of the compaction under way
  int32_t next_id_ = 1;
};

void random_round(const Bench& bench, nf_context* context, uint64_t seed) {
  Model model(bench, context, seed);
  model.add(600 + model.below(500));
  model.set_live(model.rows() / 2, false);
  const auto window = [&model] { return 1 + model.below(model.rows()); };
  bool done = model.step(1, model.rows() / 3);
  for (int change = 0; !done && change < 12; ++change) {
    switch (model.below(9)) {
      case 0:
        model.add(1 + model.below(60));
        break;
      case 1:
        model.replace(1 + model.below(60));
        break;
      case 2:
        model.set_live(1 + model.below(60), true);  // sooner or later of a dropped row
        break;
      case 3:
        model.set_live(1 + model.below(60), false);
        break;
      case 4:
        model.give_up();
        break;
      case 5:
        model.add(1 + model.below(60), false);
        break;
      case 6:
        model.set_range(1 + model.below(200), false);
        break;
      case 7:
        model.set_range(1 + model.below(9), true);
        break;
      default:
        model.cancelled();
    }
    if (change % 4 == 0) model.verify("between steps");
    done = model.step(1, window());
  }
  if (!done) done = model.step(0, model.rows());
  model.verify("after the last step");
  model.set_live(model.rows(), false);
  while (!model.step(0, window())) {
  }
  model.verify("after dropping more");
}

void edges(const Bench& bench, nf_context* context) {
  Model empty(bench, context, 1);
  bench.report->check(empty.step(0, empty.rows()), "compact: no rows", "is not done in one step");
  empty.verify("no rows");
  empty.add(40);
  bench.report->check(empty.step(1, empty.rows()), "compact: nothing dead", "is not done in one step");
  empty.verify("nothing dead");
  for (int i = 0; i < 8; ++i) empty.set_live(empty.rows() * 4, false);
  bench.report->check(empty.step(0, empty.rows()), "compact: nearly all dead", "is not done in one step");
  empty.verify("nearly all dead");
  empty.add(3);
  empty.verify("used again");
}

}  // namespace

void test_steps(const Bench& bench) {
  const ContextHandle context = bench.context();
  edges(bench, context.get());
  for (uint64_t round = 0; round < 3; ++round) random_round(bench, context.get(), bench.seed + round);
}

}  // namespace nearfield_test
