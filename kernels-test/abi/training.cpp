// SPDX-License-Identifier: Apache-2.0
// Training of a flat index with int8 codes: bad requests, steps with every kind of call between them, and
// what comes of one that ends early.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "harness.hpp"

namespace nearfield_test {
namespace {

constexpr int32_t kWidth = 40;
constexpr int64_t kMillisecond = 1'000'000;

bool serves_codes(const Bench& bench, nf_context* context) {
  nf_capability what = sized<nf_capability>();
  what.op = NF_OP_INDEX;
  what.index_kind = NF_FLAT;
  what.metric = NF_L2SQ;
  what.input_dtype = what.store_dtype = NF_F32;
  what.scan_dtype = NF_I8;
  return bench.api->supports(context, &what) == 1;
}

// Rows within the unit ball; coordinates before `few` have a hundred times the spread of the others.
std::vector<float> rows_of(uint64_t seed, int64_t rows, int32_t dim, int32_t few) {
  std::mt19937_64 random(seed);
  std::vector<float> made;
  for (int64_t i = 0; i < rows; ++i)
    for (int32_t j = 0; j < dim; ++j) {
      const double value = static_cast<double>(random() % 2001) / 1000 - 1;
      made.push_back(static_cast<float>(value * (j < few ? 0.3 : 0.003)));
    }
  return made;
}

// The ten nearest of each query, bit by bit; all of them certified.
std::vector<unsigned char> answers_of(const Bench& bench, nf_index* index, const std::vector<float>& queries,
                                      int32_t dim) {
  constexpr int32_t kK = 10;
  const nf_matrix matrix = matrix_of(queries, dim);
  std::vector<int64_t> rows(static_cast<size_t>(matrix.rows * kK));
  std::vector<float> distances(rows.size());
  std::vector<uint8_t> certified(static_cast<size_t>(matrix.rows));
  nf_result result = sized<nf_result>();
  result.k = kK;
  result.rows = rows.data();
  result.distances = distances.data();
  result.certified = certified.data();
  result.row_stride = kK;
  nf_search search = sized<nf_search>();
  search.queries = &matrix;
  search.result = &result;
  Caller caller;
  bench.ok(bench.api->index_search(index, &search, &caller.call), "search", caller);
  bench.report->check(std::count(certified.begin(), certified.end(), 1) == matrix.rows,
                      "answers are certified");
  std::vector<unsigned char> bytes(rows.size() * 12);
  std::memcpy(bytes.data(), rows.data(), rows.size() * 8);
  std::memcpy(bytes.data() + rows.size() * 8, distances.data(), distances.size() * 4);
  return bytes;
}

// True at the end of a compaction.
bool compact_step(const Bench& bench, nf_index* index, nf_step* step) {
  std::vector<int64_t> numbers(static_cast<size_t>(bench.info(index).rows) + 1);
  nf_compact request = sized<nf_compact>();
  request.new_row = numbers.data();
  request.new_row_count = static_cast<int64_t>(numbers.size());
  Caller caller;
  bench.ok(bench.api->index_compact(index, &request, step, &caller.call), "compact", caller);
  return step->done == 1;
}

class Coded {
 public:
  Coded(const Bench& bench, nf_context* context, int32_t metric, int32_t dim)
      : Coded(bench, context, flat(metric, dim)) {}
  Coded(const Bench& bench, nf_context* context, nf_index_desc desc) : bench_(bench), dim_(desc.dim) {
    Caller caller;
    desc.scan_dtype = NF_I8;
    nf_index* made = nullptr;
    bench.ok(bench.api->index_create(context, &desc, &made, &caller.call), "index_create, coded", caller);
    index_ = {made, IndexDeleter{bench.api}};
  }
  nf_index* get() const { return index_.get(); }

  void add(const std::vector<float>& rows) const { bench_.add(index_.get(), rows, dim_); }

  nf_status train(const nf_train& request, nf_step* step, Caller* caller) const {
    return bench_.api->index_train(index_.get(), &request, step, &caller->call);
  }
  // To the end, at once.
  void train(const char* what, const nf_train& request = sized<nf_train>()) const {
    Caller caller;
    nf_step step = sized<nf_step>();
    bench_.ok(train(request, &step, &caller), what, caller);
    bench_.report->check(step.done == 1 && step.position == bench_.info(get()).rows,
                         std::string(what) + ": is done");
  }

  std::vector<unsigned char> answers(const std::vector<float>& queries) const {
    return answers_of(bench_, get(), queries, dim_);
  }
  bool compact(nf_step* step) const { return compact_step(bench_, get(), step); }

 private:
  const Bench& bench_;
  int32_t dim_;
  IndexHandle index_;
};

void test_bad_requests(const Bench& bench, nf_context* context) {
  const Coded index(bench, context, NF_L2SQ, kWidth);
  index.add(rows_of(bench.seed, 500, kWidth, 4));
  std::vector<float> rows = rows_of(bench.seed, 8, kWidth, 4), wide = rows_of(bench.seed, 8, kWidth + 1, 4);
  std::vector<float> spoilt = rows;
  spoilt[3 * kWidth + 7] = std::numeric_limits<float>::quiet_NaN();
  nf_matrix data = matrix_of(rows, kWidth), other = matrix_of(wide, kWidth + 1),
            bad = matrix_of(spoilt, kWidth);
  nf_matrix one = data, halves = data;
  one.rows = 1;
  halves.dtype = NF_BF16;
  const std::vector<unsigned char> before = index.answers(rows);
  const auto refused = [&](const char* name, nf_status wanted, const char* words, auto change,
                           nf_index* handle) {
    nf_train request = sized<nf_train>();
    nf_step step = sized<nf_step>();
    change(request, step);
    Caller caller;
    const nf_status status = bench.api->index_train(handle, &request, &step, &caller.call);
    bench.report->check(status == wanted && std::strstr(caller.error.message, words) != nullptr &&
                            std::strncmp(caller.error.message, "train: ", 7) == 0,
                        std::string("train: ") + name,
                        std::string(status_name(status)) + " " + caller.error.message);
    bench.report->check(
        step.done == 0 && index.answers(rows) == before && bench.info(index.get()).trained == 0,
        std::string("train: ") + name + " changes nothing");
  };
  const auto invalid = [&](const char* name, const char* words, auto change) {
    refused(name, NF_INVALID_ARGUMENT, words, change, index.get());
  };
  invalid("lists", "lists=4 and iterations=0", [](nf_train& r, nf_step&) { r.lists = 4; });
  invalid("iterations", "lists=0 and iterations=-3", [](nf_train& r, nf_step&) { r.iterations = -3; });
  invalid("sample -1", "sample=-1", [](nf_train& r, nf_step&) { r.sample = -1; });
  invalid("sample 1", "sample=1, it must be 0 or at least 2", [](nf_train& r, nf_step&) { r.sample = 1; });
  invalid("sample 2^63-1", "sample=9223372036854775807", [](nf_train& r, nf_step&) { r.sample = INT64_MAX; });
  invalid("another dimension", "data->cols=41, the dimension is 40",
          [&](nf_train& r, nf_step&) { r.data = &other; });
  invalid("one row of data", "data->rows=1", [&](nf_train& r, nf_step&) { r.data = &one; });
  invalid("data with NaN", "data row 3, dimension 7 is NaN", [&](nf_train& r, nf_step&) { r.data = &bad; });
  invalid("a short request", "struct_size", [](nf_train& r, nf_step&) { --r.struct_size; });
  invalid("a short step", "struct_size", [](nf_train&, nf_step& s) { --s.struct_size; });
  invalid("budget -1", "budget_ns=-1", [](nf_train&, nf_step& s) { s.budget_ns = -1; });
  invalid("position -1", "position=-1", [](nf_train&, nf_step& s) { s.position = -1; });
  invalid("work", "a training has none", [](nf_train&, nf_step& s) { s.work = &s; });
  refused(
      "flags", NF_UNIMPLEMENTED, "flags=0x2", [](nf_train& r, nf_step&) { r.flags = 2; }, index.get());
  refused(
      "data of bf16", NF_UNIMPLEMENTED, "dtype=3", [&](nf_train& r, nf_step&) { r.data = &halves; },
      index.get());
  const Coded few(bench, context, NF_L2SQ, kWidth);
  const auto plain = [](nf_train&, nf_step&) {};
  refused("of no rows", NF_FAILED_PRECONDITION, "0 live rows", plain, few.get());
  few.add(rows_of(bench.seed, 2, kWidth, 4));
  bench.set_live(few.get(), {1}, false);
  refused("of one live row", NF_FAILED_PRECONDITION, "1 live rows", plain, few.get());
  Caller caller;
  nf_step step = sized<nf_step>();
  const nf_train request = sized<nf_train>();
  bench.report->check(
      bench.api->index_train(index.get(), nullptr, &step, &caller.call) == NF_INVALID_ARGUMENT,
      "train: request NULL");
  bench.report->check(
      bench.api->index_train(index.get(), &request, nullptr, &caller.call) == NF_INVALID_ARGUMENT,
      "train: step NULL");
  bench.report->check(bench.api->index_train(nullptr, &request, &step, &caller.call) == NF_INVALID_ARGUMENT,
                      "train: index NULL");
  // Two rows, one dimension, and rows that are all the same are no reason to refuse.
  bench.set_live(few.get(), {1}, true);
  few.train("two rows");
  const Coded narrow(bench, context, NF_L2SQ, 1), same(bench, context, NF_COSINE, 3);
  narrow.add(rows_of(bench.seed, 100, 1, 1));
  narrow.train("one dimension");
  same.add(std::vector<float>(300, 0.5f));
  same.train("all rows equal");
  bench.report->check(bench.info(same.get()).rotated == 0, "all rows equal: no rotation");
}

void test_f32_index(const Bench& bench, nf_context* context) {
  const IndexHandle index = bench.index(context, NF_L2SQ, kWidth);
  Caller caller;
  nf_step step = sized<nf_step>();
  const nf_train request = sized<nf_train>();
  const nf_status status = bench.api->index_train(index.get(), &request, &step, &caller.call);
  bench.report->check(
      status == NF_FAILED_PRECONDITION && std::strstr(caller.error.message, "scan_dtype=1") != nullptr,
      "train of an f32 index", std::string(status_name(status)) + " " + caller.error.message);
}

// Steps of a training, with a search, an add, a replacement, a removal and a compaction between them: answers
// are at all times those of an index without codes that takes the same changes.
void test_steps_between(const Bench& bench, nf_context* context, int32_t metric) {
  const std::string name = "train in steps, metric " + std::to_string(metric);
  std::mt19937_64 random(bench.seed + static_cast<uint64_t>(metric));
  const Coded coded(bench, context, metric, kWidth);
  const IndexHandle plain = bench.index(context, metric, kWidth);
  const std::vector<float> queries = rows_of(bench.seed + 1, 6, kWidth, 4);
  const auto both = [&](auto change) {
    change(coded.get());
    change(plain.get());
  };
  const auto add = [&](int64_t rows) {
    const std::vector<float> data = rows_of(random(), rows, kWidth, 4);
    both([&](nf_index* index) { bench.add(index, data, kWidth); });
  };
  add(3000);
  nf_train request = sized<nf_train>();
  request.sample = 1000;
  request.seed = bench.seed;
  int trainings = 0, steps = 0;
  nf_step step = sized<nf_step>(), compaction = sized<nf_step>();
  for (; trainings < 3 && steps < 100'000; ++steps) {
    Caller caller;
    step.budget_ns = 1;
    const int64_t before = step.position;
    if (!bench.ok(coded.train(request, &step, &caller), name.c_str(), caller)) return;
    bench.report->check(step.position >= 0 && step.position <= bench.info(coded.get()).rows &&
                            (step.position >= before || compaction.done == 1),
                        name + ": position", std::to_string(step.position));
    if (step.done == 1) {
      ++trainings;
      step = sized<nf_step>();
      request.sample = 0;
      ++request.seed;
    }
    switch (random() % 12) {
      case 0:
        add(static_cast<int64_t>(random() % 40));
        break;
      case 1: {
        const std::vector<int64_t> rows = {
            static_cast<int64_t>(random() % 3000 % bench.info(plain.get()).rows)};
        const std::vector<float> data = rows_of(random(), 1, kWidth, 4);
        const nf_matrix matrix = matrix_of(data, kWidth);
        both([&](nf_index* index) {
          Caller caller;
          bench.ok(bench.api->index_replace(index, rows.data(), &matrix, &caller.call), "replace", caller);
        });
        break;
      }
      case 2: {
        const int64_t row =
            static_cast<int64_t>(random() % static_cast<uint64_t>(bench.info(plain.get()).rows));
        const bool live = random() % 4 == 0;
        both([&](nf_index* index) { bench.set_live(index, {row}, live); });
        break;
      }
      case 3:
      case 4:
        compaction.budget_ns = 1;
        if (coded.compact(&compaction)) {
          compaction = sized<nf_step>();
          nf_step whole = sized<nf_step>();
          compact_step(bench, plain.get(), &whole);
        }
        break;
      default:
        break;
    }
    if (random() % 8 != 0) continue;
    bench.report->check(coded.answers(queries) == answers_of(bench, plain.get(), queries, kWidth),
                        name + ": answers",
                        "after step " + std::to_string(steps) + ", seed " + std::to_string(bench.seed));
  }
  bench.report->check(trainings == 3, name + ": comes to an end", std::to_string(steps) + " steps");
  bench.report->check(coded.answers(queries) == answers_of(bench, plain.get(), queries, kWidth),
                      name + ": answers at the end", "seed " + std::to_string(bench.seed));
  const nf_index_info info = bench.info(coded.get());
  bench.report->check(
      info.trained == 1 && info.rotated >= 0 && info.rotated <= 1 && info.searched > 0 &&
          info.certified == info.searched && std::isfinite(info.loosening),
      name + ": info",
      "trained=" + std::to_string(info.trained) + ", rotated=" + std::to_string(info.rotated) +
          ", certified " + std::to_string(info.certified) + " of " + std::to_string(info.searched) +
          ", loosening=" + std::to_string(info.loosening) + ", seed " + std::to_string(bench.seed));
}

void test_early_ends(const Bench& bench, nf_context* context) {
  const Coded index(bench, context, NF_L2SQ, 200);
  index.add(rows_of(bench.seed, 9000, 200, 20));
  const std::vector<float> queries = rows_of(bench.seed + 1, 4, 200, 20);
  const std::vector<unsigned char> before = index.answers(queries);
  uint32_t cancel = 0;
  for (int ends = 0; ends < 6; ++ends) {
    nf_step step = sized<nf_step>();
    for (int steps = 0; steps < 1 + ends * ends && step.done == 0; ++steps) {
      Caller caller;
      step.budget_ns = kMillisecond;
      bench.ok(index.train(sized<nf_train>(), &step, &caller), "train to be ended", caller);
    }
    Caller caller;
    cancel = 1;
    caller.call.cancel = &cancel;
    const nf_status status = index.train(sized<nf_train>(), &step, &caller);
    bench.report->check(status == NF_CANCELLED, "train: cancelled", status_name(status));
    bench.report->check(index.answers(queries) == before, "train: cancelled, answers are as before");
  }
  // A time-out runs into the middle of a call.
  Caller late;
  late.call.timeout_ns = 2 * kMillisecond;
  nf_step step = sized<nf_step>();
  nf_train other = sized<nf_train>();
  other.seed = 5;
  const nf_status status = index.train(other, &step, &late);
  bench.report->check(status == NF_DEADLINE_EXCEEDED || status == NF_OK, "train: late", status_name(status));
  bench.report->check(index.answers(queries) == before, "train: late, answers are as before");
  index.train("after all of that");
  bench.report->check(index.answers(queries) == before, "trained: answers are as before");
  bench.report->check(bench.info(index.get()).trained == 1, "trained: info");
}

// An index that fills its memory limit: whether a training finds room for shadow codes there or not, answers
// stay.
void test_no_room(const Bench& bench, nf_context* context) {
  constexpr int64_t kRows = 4096;
  Caller caller;
  nf_index_desc desc = flat(NF_L2SQ, kWidth);
  desc.scan_dtype = NF_I8;
  desc.capacity = kRows;
  uint64_t peak = 0;
  bench.ok(bench.api->index_estimate(context, &desc, &peak, &desc.memory_limit, &caller.call), "estimate",
           caller);
  const Coded index(bench, context, desc);
  index.add(rows_of(bench.seed, kRows, kWidth, 4));
  const std::vector<float> queries = rows_of(bench.seed + 1, 5, kWidth, 4);
  const std::vector<unsigned char> before = index.answers(queries);
  for (int again = 0; again < 2; ++again) {
    nf_step step = sized<nf_step>();
    const nf_status status = index.train(sized<nf_train>(), &step, &caller);
    bench.report->check(status == NF_OK || (status == NF_RESOURCE_EXHAUSTED && step.done == 0 &&
                                            std::strstr(caller.error.message, "memory_limit") != nullptr),
                        "train within a memory limit",
                        std::string(status_name(status)) + " " + caller.error.message);
    bench.report->check(index.answers(queries) == before, "train within a memory limit: answers");
    bench.report->check(bench.info(index.get()).device_bytes <= desc.memory_limit,
                        "train within a memory limit: it holds no more");
  }
}

// Rows of the sample's kind leave the basis as good as it was; rows of another kind do not.
void test_loosening(const Bench& bench, nf_context* context) {
  const Coded index(bench, context, NF_L2SQ, kWidth);
  index.add(rows_of(bench.seed, 4000, kWidth, 4));
  bench.report->check(bench.info(index.get()).loosening == 0, "loosening before a training");
  index.train("for loosening");
  bench.report->check(bench.info(index.get()).loosening == 0, "loosening before an add");
  for (int i = 0; i < 64; ++i) index.add(rows_of(bench.seed + 100 + static_cast<uint64_t>(i), 64, kWidth, 4));
  const double same = bench.info(index.get()).loosening;
  // 64 rows' mean share of one that varies by less than itself: 1/8 of it, four of that.
  bench.report->check(same > 0.5 && same < 1.5, "loosening by rows of the same kind", std::to_string(same));
  for (int i = 0; i < 64; ++i)
    index.add(rows_of(bench.seed + 200 + static_cast<uint64_t>(i), 64, kWidth, kWidth));
  const double others = bench.info(index.get()).loosening;
  bench.report->check(others > 2, "loosening by rows of another kind", std::to_string(others));
  index.train("again");
  bench.report->check(bench.info(index.get()).loosening == 0, "loosening after a training");
}

}  // namespace

void test_training(const Bench& bench) {
  const ContextHandle context = bench.context();
  test_f32_index(bench, context.get());
  if (!serves_codes(bench, context.get())) return;  // test_codes() sees that they are refused
  test_bad_requests(bench, context.get());
  for (const int32_t metric : {NF_L2SQ, NF_COSINE, NF_DOT, NF_POINCARE})
    test_steps_between(bench, context.get(), metric);
  test_early_ends(bench, context.get());
  test_no_room(bench, context.get());
  test_loosening(bench, context.get());
}

}  // namespace nearfield_test
