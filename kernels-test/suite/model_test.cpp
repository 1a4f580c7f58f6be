// SPDX-License-Identifier: Apache-2.0
// Random operations on an index against the model. A failing sequence is shrunk: operations are left out
// while it still fails. Operations name rows by fractions of the rows there are, so that any part of a
// sequence is a sequence.
#include "model.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "check.hpp"
#include "random.hpp"
#include "tests.hpp"

namespace nearfield::test {
namespace {

enum class Kind {
  ADD,
  ADD_HIDDEN,
  REMOVE,
  REVIVE,
  RANGE,
  REPLACE,
  COMPACT,
  COMPACT_STEP,
  GIVE_UP,
  TRAIN_STEP,
  MAINTAIN_STEP,
  SEARCH,
  FILTERED,
  REFUSED
};
constexpr const char* kNames[] = {
    "add",  "add-hidden", "remove", "revive",   "range",  "replace",         "compact",
    "step", "give-up",    "train",  "maintain", "search", "search-filtered", "add-refused"};

struct Operation {
  Kind kind;
  uint64_t seed;  // of everything the operation draws
  std::string show() const {
    return text("%s#%llx", kNames[static_cast<int>(kind)], static_cast<unsigned long long>(seed & 0xffff));
  }
};

// What index is tried.
struct Made {
  bool coded = false, listed = false;
};

Kind draw(Random* random, const Made& made) {
  if ((made.coded || made.listed) && random->below(4) == 0) return Kind::TRAIN_STEP;
  if (made.listed && random->below(4) == 0) return Kind::MAINTAIN_STEP;
  constexpr Kind kWeighted[] = {
      Kind::ADD,    Kind::ADD,      Kind::ADD,          Kind::REMOVE,       Kind::REMOVE,
      Kind::REMOVE, Kind::REVIVE,   Kind::REPLACE,      Kind::REPLACE,      Kind::COMPACT,
      Kind::SEARCH, Kind::SEARCH,   Kind::COMPACT_STEP, Kind::COMPACT_STEP, Kind::COMPACT_STEP,
      Kind::SEARCH, Kind::FILTERED, Kind::FILTERED,     Kind::REFUSED,      Kind::ADD_HIDDEN,
      Kind::RANGE,  Kind::RANGE,    Kind::GIVE_UP,      Kind::COMPACT_STEP};
  return kWeighted[random->below(std::size(kWeighted))];
}

class Runner {
 public:
  Runner(const Bench& bench, nf_context* context, const Made& made)
      : bench_(bench),
        made_(made),
        index_(bench.backend, context, bench.spec.metric, bench.spec.dim, 0, made.coded ? NF_I8 : NF_F32, 0,
               made.listed ? NF_IVF : NF_FLAT),
        model_(bench.spec.metric, bench.spec.dim) {}

  void apply(const Operation& operation) {
    Random random(operation.seed);
    switch (operation.kind) {
      case Kind::ADD:
      case Kind::ADD_HIDDEN:
        return add(&random, operation.kind == Kind::ADD);
      case Kind::REMOVE:
      case Kind::REVIVE:
        return set_live(&random, operation.kind == Kind::REVIVE);
      case Kind::RANGE:
        return set_range(&random);
      case Kind::REPLACE:
        return replace(&random);
      case Kind::COMPACT:
        return step(0, model_.rows());
      case Kind::COMPACT_STEP:
        return step(1, 1 + random.below(model_.rows() + 9));
      case Kind::GIVE_UP:
        numbers_ = {};
        return;
      case Kind::TRAIN_STEP:
        return train(&random);
      case Kind::MAINTAIN_STEP:
        return maintain(&random);
      case Kind::SEARCH:
      case Kind::FILTERED:
        return search(&random, operation.kind == Kind::FILTERED);
      case Kind::REFUSED:
        return refused(&random);
    }
  }
  void finish() {
    step(0, model_.rows());
    model_.check_stored(index_);
  }

 private:
  Vectors make(int64_t rows, Random* random) const {
    Vectors made(rows, bench_.spec.dim, random->below(2) == 0);
    generate(bench_.spec.data, bench_.spec.metric, bench_.problem.seed(), random->next(), &made);
    return made;
  }
  // Distinct rows.
  std::vector<int64_t> some_rows(Random* random) const {
    std::vector<int64_t> rows;
    for (int64_t row = random->below(model_.rows() + 1); row < model_.rows() && rows.size() < 40;
         row += 1 + random->below(1 + model_.rows() / 4))
      rows.push_back(row);
    return rows;
  }
  void add(Random* random, bool live) {
    const Vectors rows = make(random->below(bench_.spec.rows / 4 + 1), random);
    index_.add(rows.matrix(), live ? 0 : NF_HIDDEN);
    model_.add(rows, live);
    since_.resize(static_cast<size_t>(model_.rows()), !live && compacting_);
  }
  void set_range(Random* random) {
    const int64_t first = random->below(model_.rows() + 1);
    const int64_t count = random->below(std::min<int64_t>(model_.rows() - first, 70) + 1);
    const bool live = random->below(3) == 0;
    index_.set_live_range(first, count, live);
    for (int64_t row = first; row < first + count; ++row) set_model(row, live);
  }
  void set_live(Random* random, bool live) {
    const std::vector<int64_t> rows = some_rows(random);
    index_.set_live(rows, live);
    for (const int64_t row : rows) set_model(row, live);
  }
  void set_model(int64_t row, bool live) {
    if (model_.live(row) && !live) since_[static_cast<size_t>(row)] = compacting_;
    model_.set_live(row, live);
  }
  void replace(Random* random) {
    const std::vector<int64_t> rows = some_rows(random);
    const Vectors data = make(static_cast<int64_t>(rows.size()), random);
    index_.replace(rows, data.matrix());
    for (size_t i = 0; i < rows.size(); ++i) model_.replace(rows[i], data.row(static_cast<int64_t>(i)));
  }
  void step(int64_t budget_ns, int64_t window) {
    ok(index_.try_compact(budget_ns, window, &numbers_), "index_compact");
    check(numbers_.done || budget_ns != 0, "index_compact without a budget is not done");
    compacting_ = !numbers_.done;
    if (compacting_) return;
    model_.compact(numbers_.of, since_);
    since_.assign(static_cast<size_t>(model_.rows()), 0);
    numbers_ = {};
  }
  // Of fewer than two live rows nothing can be fitted.
  void train(Random* random) {
    if (index_.info().live_rows < 2 && training_.position == 0) return;
    const Answer answer = index_.try_train(random->below(2) == 0 ? 1 : 1'000'000, 5, &training_);
    if (answer.code != NF_OK || training_.done != 0) training_ = {};
    if (index_.info().live_rows >= 2) ok(answer, "index_train");
  }
  void maintain(Random* random) {
    nf_maintain done{};
    ok(index_.try_maintain(random->below(2) == 0 ? 1 : 1'000'000, &maintenance_, &done), "index_maintain");
    if (maintenance_.done != 0) maintenance_ = {};
  }
  void search(Random* random, bool filtered) {
    const Vectors queries = make(1 + random->below(bench_.spec.batch), random);
    std::vector<uint32_t> bits(static_cast<size_t>((model_.rows() + 31) / 32));
    const bool sparse = random->below(2) == 0;
    for (uint32_t& word : bits) {
      word = static_cast<uint32_t>(random->next());
      if (sparse) word &= static_cast<uint32_t>(random->next() & random->next() & random->next());
    }
    SearchOptions options;
    if (made_.listed && random->below(2) == 0)
      options.flags = NF_EXACT;
    else if (made_.listed)
      options.probes = index_.info().lists;
    model_.check_search(index_, queries, 1 + random->below(bench_.spec.k), filtered ? &bits : nullptr,
                        options);
  }
  void refused(Random* random) {
    Vectors rows = make(1 + random->below(9), random);
    rows.row(rows.rows() - 1)[0] = NAN;
    int64_t first = 0;
    fails(index_.try_add(rows.matrix(), &first), NF_INVALID_ARGUMENT, "add with a NaN");
  }

  const Bench& bench_;
  const Made made_;
  Index index_;
  Model model_;
  NewRows numbers_;
  std::vector<uint8_t> since_;  // died while a compaction was under way
  bool compacting_ = false;
  nf_step training_{}, maintenance_{};
};

// What failed, at which operation; empty: nothing.
std::optional<std::string> run(const Bench& bench, nf_context* context, const Made& made,
                               const std::vector<Operation>& operations) {
  std::string at = "the end";
  try {
    Runner runner(bench, context, made);
    for (const Operation& operation : operations) {
      at = operation.show();
      runner.apply(operation);
    }
    at = "the last compact";
    runner.finish();
  } catch (const Failure& failure) {
    return at + ": " + failure.what();
  }
  return std::nullopt;
}

// Leaves out ever smaller parts while the rest still fails (Zeller's ddmin, without its complement step).
std::vector<Operation> shrink(const Bench& bench, nf_context* context, const Made& made,
                              std::vector<Operation> operations, std::string* why) {
  int budget = 300;  // runs
  for (size_t part = operations.size() / 2; part > 0; part /= 2) {
    for (size_t from = 0; from < operations.size() && budget-- > 0;) {
      std::vector<Operation> fewer = operations;
      const size_t to = std::min(operations.size(), from + part);
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(from),
                  fewer.begin() + static_cast<std::ptrdiff_t>(to));
      if (const auto failure = run(bench, context, made, fewer)) {
        operations = fewer;
        *why = *failure;
      } else {
        from = to;
      }
    }
  }
  return operations;
}

void check_model(const Bench& bench, nf_context* context, const Made& made) {
  Random random(bench.problem.seed());
  std::vector<Operation> operations;
  for (int i = 0; i < 60; ++i) {
    const Kind kind = draw(&random, made);
    operations.push_back({kind, random.next()});
  }
  const auto failure = run(bench, context, made, operations);
  if (!failure) return;
  std::string why = *failure;
  const std::vector<Operation> few = shrink(bench, context, made, operations, &why);
  std::string list;
  for (const Operation& operation : few) {
    list += " ";
    list += operation.show();
  }
  throw Failure(text("of %zu random operations these %zu fail:", operations.size(), few.size()) + list +
                "; at " + why);
}

}  // namespace

void test_model(const Bench& bench) { check_model(bench, bench.context(), {}); }

void test_codes_model(const Bench& bench) {
  require_codes(bench);
  for (const ContextOptions& path : code_paths(bench))
    check_model(bench, bench.backend.context(path), {.coded = true});
}

void test_lists_model(const Bench& bench) {
  require_lists(bench);
  check_model(bench, bench.context(), {.listed = true});
  for (const ContextOptions& path : list_paths(bench))
    check_model(bench, bench.backend.context(path), {.coded = true, .listed = true});
}

}  // namespace nearfield::test
