// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "fault_fixture.hpp"

namespace nearfield_test {
namespace {

// What goes wrong, and which failure of the call that is.
struct Event {
  const char* name;
  nf_status status;
};

bool is_cuda(const Bench& bench) { return std::strcmp(bench.api->backend, "cuda") == 0; }

std::vector<Event> events(const Bench& bench) {
  std::vector<Event> all = {{"allocation", NF_RESOURCE_EXHAUSTED}, {"launch", NF_INTERNAL}};
  if (is_cuda(bench)) all.push_back({"copy", NF_INTERNAL});
  return all;
}

// Metal has memory that the CPU sees, where a write cannot fail.
constexpr const char* kSetting = "unified=0";

// Of a few slabs, so that a failure may come between two.
nf_context_desc small_slabs() {
  nf_context_desc desc = sized<nf_context_desc>();
  desc.slab_bytes = 1 << 20;
  return desc;
}

struct State {
  nf_index_info info;
  Answers answers{};

  explicit State(Fixture& fixture) : info(fixture.bench.info(fixture.index.get())) {
    Caller caller;
    fixture.bench.ok(fixture.search(&answers, caller), "search", caller);
  }
  bool operator==(const State& other) const {
    return info.rows == other.info.rows && info.live_rows == other.info.live_rows &&
           info.device_bytes == other.info.device_bytes &&
           std::memcmp(&answers, &other.answers, sizeof(answers)) == 0;
  }
};

// A call that changes an index: what comes before it, the call, and what must hold when it has succeeded.
// A failure must leave the index as it was before both.
class Change {
 public:
  explicit Change(Fixture& fixture) : fixture_(fixture) {}
  virtual ~Change() = default;
  virtual void prepare() {}
  virtual nf_status call(Caller& caller) = 0;
  virtual bool outputs_untouched() const { return true; }
  virtual void verify(const State& before) = 0;

 protected:
  Fixture& fixture_;
};

// With the fault that `text` names. True when it made the call fail.
template <typename Made>
bool fails_well(const Bench& bench, const std::string& text, nf_status wanted, const std::string& what) {
  fault(kSetting);
  Fixture fixture(bench, small_slabs());
  Made change(fixture);
  const State before(fixture);
  change.prepare();
  Caller caller;
  fault((std::string(kSetting) + "," + text).c_str());
  const nf_status status = change.call(caller);
  fault(kSetting);
  if (status == NF_OK) {
    change.verify(before);
    return false;
  }
  const std::string when = what + " that failed by " + text;
  fixture.expect(status, wanted, when, caller);
  bench.report->check(change.outputs_untouched(), when, "outputs were written");
  bench.report->check(State(fixture) == before, when, "the index is another");
  Made again(fixture);
  again.prepare();
  Caller after;
  bench.ok(again.call(after), ("the call after " + when).c_str(), after);
  again.verify(before);
  return true;
}

template <typename Made>
void each_failure(const Bench& bench, const Event& event, int least, const std::string& what) {
  int n = 1;
  while (n < 100 &&
         fails_well<Made>(bench, std::string(event.name) + "=" + std::to_string(n), event.status, what))
    ++n;
  bench.report->check(n > least && n < 100, what, std::to_string(n - 1) + " failures of " + event.name);
}

class HiddenAdd final : public Change {
 public:
  using Change::Change;
  nf_status call(Caller& caller) override {
    const std::vector<float> data = random_rows(kSeed + 2, kAdded, kDim);
    return fixture_.bench.try_add(fixture_.index.get(), matrix_of(data, kDim), &first_, &caller, NF_HIDDEN);
  }
  bool outputs_untouched() const override { return first_ == kUntouched; }
  void verify(const State& before) override {
    const State now(fixture_);
    fixture_.bench.report->check(first_ == kRows && now.info.rows == kRows + kAdded &&
                                     now.info.live_rows == kRows &&
                                     std::memcmp(&now.answers, &before.answers, sizeof(now.answers)) == 0,
                                 "a hidden add", "shows rows, or has others");
  }

 private:
  static constexpr int64_t kUntouched = -7, kAdded = 20'000;
  int64_t first_ = kUntouched;
};

class LiveRange final : public Change {
 public:
  using Change::Change;
  nf_status call(Caller& caller) override {
    nf_live live = sized<nf_live>();
    live.first = kFirst;
    live.count = kCount;
    return fixture_.bench.api->index_set_live(fixture_.index.get(), &live, &caller.call);
  }
  void verify(const State&) override {
    const State now(fixture_);
    const auto* const end = now.answers.rows + kQueries * kK;
    fixture_.bench.report->check(
        now.info.live_rows == kRows - kCount &&
            std::none_of(now.answers.rows, end,
                         [](int64_t row) { return row >= kFirst && row < kFirst + kCount; }),
        "set_live of a range", "leaves rows of it");
  }

 private:
  static constexpr int64_t kFirst = 5, kCount = kRows - 11;
};

// One step, the first or another, of a compaction of half of the rows.
template <bool kFirstStep>
class CompactStep final : public Change {
 public:
  explicit CompactStep(Fixture& fixture) : Change(fixture) {
    if (fixture.bench.info(fixture.index.get()).live_rows != kRows) return;
    std::vector<int64_t> dead;
    for (int64_t row = 0; row < kRows; row += 2) dead.push_back(row);
    fixture.bench.set_live(fixture.index.get(), dead, false);
  }
  void prepare() override {
    if (kFirstStep) return;
    Caller caller;
    fixture_.bench.ok(call(caller), "a step of a compaction", caller);
    std::fill(numbers_.begin(), numbers_.end(), kUntouched);
    compact_.first_row = kUntouched;
  }
  nf_status call(Caller& caller) override {
    compact_.new_row = numbers_.data();
    compact_.new_row_count = kStepRows;
    step_.budget_ns = 1;
    return fixture_.bench.api->index_compact(fixture_.index.get(), &compact_, &step_, &caller.call);
  }
  bool outputs_untouched() const override {
    return compact_.first_row == kUntouched && step_.position == (kFirstStep ? 0 : kStepRows) &&
           std::count(numbers_.begin(), numbers_.end(), kUntouched) == kStepRows;
  }
  void verify(const State& before) override {
    while (step_.done == 0) {
      Caller next;
      if (!fixture_.bench.ok(call(next), "the rest of a compaction", next)) return;
    }
    Answers expected = before.answers;
    for (int64_t& row : expected.rows) row = (row - 1) / 2;
    const State now(fixture_);
    fixture_.bench.report->check(now.info.rows == kRows / 2 && now.info.live_rows == kRows / 2 &&
                                     std::memcmp(&now.answers, &expected, sizeof(expected)) == 0,
                                 "a compaction after its failure", "has other rows");
  }

 private:
  static constexpr int64_t kUntouched = -7, kStepRows = 20'000;
  std::vector<int64_t> numbers_ = std::vector<int64_t>(kStepRows, kUntouched);
  nf_compact compact_ = [] {
    nf_compact compact = sized<nf_compact>();
    compact.first_row = kUntouched;
    return compact;
  }();
  nf_step step_ = sized<nf_step>();
};

// A knn of the fixture's queries against 8,000 rows, in blocks of at most 1,600 (a quarter of the memory).
struct KnnSteps {
  const Bench& bench;
  nf_context* context;
  std::vector<float> dataset = random_rows(kSeed + 3, 8000, kDim),
                     queries = random_rows(kSeed + 1, kQueries, kDim);
  Answers answers{};
  nf_step step = [] {
    nf_step first = sized<nf_step>();
    first.budget_ns = 1;
    return first;
  }();

  nf_status next(Caller& caller) {
    const nf_matrix rows = matrix_of(dataset, kDim), asked = matrix_of(queries, kDim);
    nf_result result = sized<nf_result>();
    result.rows = answers.rows;
    result.distances = answers.distances;
    result.row_stride = result.k = kK;
    nf_knn request = sized<nf_knn>();
    nf_matrix left = rows;
    left.data = dataset.data() + step.position * kDim;
    left.rows -= step.position;
    request.dataset_rows = rows.rows;
    request.dataset = &left;
    request.queries = &asked;
    request.metric = NF_L2SQ;
    request.result = &result;
    return bench.api->knn(context, &request, &step, &caller.call);
  }
};

}  // namespace

void rolled_back_add(const Bench& bench) {
  for (const Event& event : events(bench)) each_failure<HiddenAdd>(bench, event, 1, "a hidden add");
}

// It launches nothing, and allocates nothing but what carries the words on Metal.
void rolled_back_live_range(const Bench& bench) {
  for (const Event& event : events(bench))
    if (std::strcmp(event.name, is_cuda(bench) ? "copy" : "allocation") == 0)
      each_failure<LiveRange>(bench, event, 2, "set_live of a range");
}

void rolled_back_compaction(const Bench& bench) {
  const std::string first = "the first step of a compaction", second = "the second step of a compaction";
  for (const Event& event : events(bench)) {
    if (std::strcmp(event.name, "allocation") == 0) continue;
    each_failure<CompactStep<true>>(bench, event, 1, first);
    each_failure<CompactStep<false>>(bench, event, 1, second);
  }
  bench.report->check(fails_well<CompactStep<true>>(bench, "memory=1", NF_RESOURCE_EXHAUSTED, first), first,
                      "has no need of memory");
  // Room for all live rows is but a hint: where one allocation fails, less is tried.
  for (int n = 1; n < 6; ++n)
    fails_well<CompactStep<true>>(bench, "allocation=" + std::to_string(n), NF_RESOURCE_EXHAUSTED, first);
}

// Whatever fails in whichever step, the work is gone and its memory free: all of it in one context that has
// room for few blocks.
void rolled_back_knn(const Bench& bench) {
  fault(kSetting);
  nf_context_desc desc = sized<nf_context_desc>();
  desc.memory_limit = 512 << 10;
  const ContextHandle context = bench.context(desc);
  KnnSteps whole{bench, context.get()};
  int steps = 0;
  for (; whole.step.done == 0 && steps < 100; ++steps) {
    Caller caller;
    if (!bench.ok(whole.next(caller), "a step of knn", caller)) return;
  }
  int failed = 0;
  for (const Event& event : events(bench))
    for (int failing = 0; failing < std::min(steps, 5); ++failing)
      for (int n = 1; n < 100; ++n) {
        KnnSteps run{bench, context.get()};
        for (int i = 0; i < failing; ++i) {
          Caller caller;
          bench.ok(run.next(caller), "a step of knn", caller);
        }
        const nf_step before = run.step;
        Caller caller;
        fault((std::string(kSetting) + "," + event.name + "=" + std::to_string(n)).c_str());
        const nf_status status = run.next(caller);
        fault(kSetting);
        if (status == NF_OK) {  // as many as this step has: the rest of it
          while (run.step.done == 0) {
            Caller next;
            if (!bench.ok(run.next(next), "a step of knn", next)) return;
          }
          bench.report->check(std::memcmp(&run.answers, &whole.answers, sizeof(whole.answers)) == 0,
                              "knn after many failures", "has other answers");
          break;
        }
        ++failed;
        const std::string when = std::string(event.name) + " " + std::to_string(n) + " of step " +
                                 std::to_string(failing) + " of knn failed";
        const Answers none{};
        bench.report->check(status == event.status && std::memcmp(&before, &run.step, sizeof(before)) == 0 &&
                                std::memcmp(&run.answers, &none, sizeof(none)) == 0,
                            when, std::string(status_name(status)) + " " + caller.error.message);
        if (before.work == nullptr) continue;
        Caller gone;
        bench.report->check(run.next(gone) == NF_INVALID_ARGUMENT, when, "its work is still there");
      }
  bench.report->check(steps > 5 && failed >= 10, "knn in steps",
                      std::to_string(failed) + " failures in " + std::to_string(steps) + " steps");
}

}  // namespace nearfield_test
