// SPDX-License-Identifier: Apache-2.0
// Indexes with lists: bad requests, which leave the index as it was, and trainings that end early.
#include <cmath>
#include <cstring>
#include <limits>

#include "harness.hpp"

namespace nearfield_test {
namespace {

constexpr int32_t kWidth = 12, kK = 5, kLists = 6;
constexpr int64_t kCount = 300;

class Listed {
 public:
  Listed(const Bench& bench, nf_context* context, int32_t scan_dtype) : bench_(bench) {
    Caller caller;
    nf_index_desc desc = flat(NF_L2SQ, kWidth);
    desc.kind = NF_IVF;
    desc.scan_dtype = scan_dtype;
    nf_index* made = nullptr;
    bench.ok(bench.api->index_create(context, &desc, &made, &caller.call), "index_create, with lists",
             caller);
    index_ = {made, IndexDeleter{bench.api}};
    rows_ = random_rows(bench.seed, kCount, kWidth);
    bench.add(made, rows_, kWidth);
  }
  nf_index* get() const { return index_.get(); }
  const std::vector<float>& rows() const { return rows_; }

  void train() const {
    nf_train request = sized<nf_train>();
    request.lists = kLists;
    nf_step step = sized<nf_step>();
    Caller caller;
    bench_.ok(bench_.api->index_train(get(), &request, &step, &caller.call), "index_train", caller);
    bench_.report->check(step.done == 1 && bench_.info(get()).lists == kLists, "index_train: is done");
  }

  nf_status search(nf_search* search, Caller* caller, std::vector<int64_t>* found) const {
    const nf_matrix queries = matrix_of(rows_, kWidth);
    found->assign(static_cast<size_t>(queries.rows * kK), -9);
    std::vector<float> distances(found->size()), estimates(static_cast<size_t>(queries.rows));
    nf_result result = sized<nf_result>();
    result.k = kK;
    result.row_stride = kK;
    result.rows = found->data();
    result.distances = distances.data();
    result.recall_estimate = estimates.data();
    search->queries = &queries;
    search->result = &result;
    const nf_status status = bench_.api->index_search(get(), search, &caller->call);
    for (const float estimate : estimates)
      bench_.report->check(estimate >= 0 && estimate <= 1, "search: estimates are shares");
    return status;
  }
  // All lists and the lists of each row.
  std::vector<int64_t> answers() const {
    nf_search request = sized<nf_search>();
    request.probes = bench_.info(get()).lists;
    Caller caller;
    std::vector<int64_t> found;
    bench_.ok(search(&request, &caller, &found), "search", caller);
    return found;
  }

 private:
  const Bench& bench_;
  IndexHandle index_;
  std::vector<float> rows_;
};

void refused(const Bench& bench, const std::string& name, nf_status status, nf_status wanted,
             const char* words, const Caller& caller) {
  bench.report->check(status == wanted && std::strstr(caller.error.message, words) != nullptr, name,
                      std::string(status_name(status)) + " " + caller.error.message);
}

void test_searches(const Bench& bench, const Listed& index) {
  const auto check = [&](const char* name, const char* words, auto change) {
    nf_search request = sized<nf_search>();
    change(request);
    Caller caller;
    std::vector<int64_t> found;
    refused(bench, name, index.search(&request, &caller, &found), NF_INVALID_ARGUMENT, words, caller);
    bench.report->check(std::vector<int64_t>(found.size(), -9) == found,
                        std::string(name) + ": nothing is written");
  };
  check("probes -1", "probes=-1", [](nf_search& s) { s.probes = -1; });
  check("probes above the lists", "probes=7, the index has 6 lists",
        [](nf_search& s) { s.probes = kLists + 1; });
  check("target_recall -0.5", "target_recall=-0.5", [](nf_search& s) { s.target_recall = -0.5f; });
  check("target_recall 1.5", "target_recall=1.5", [](nf_search& s) { s.target_recall = 1.5f; });
  check("target_recall NaN", "target_recall=nan", [](nf_search& s) { s.target_recall = std::nanf(""); });
  for (const int32_t probes : {0, kLists + 1}) {
    std::vector<int32_t> of_query(static_cast<size_t>(kCount), 1);
    of_query[3] = probes;
    const std::string words = "probes_of_query[3]=" + std::to_string(probes);
    check("probes of a query", words.c_str(), [&](nf_search& s) { s.probes_of_query = of_query.data(); });
  }
}

void test_trainings(const Bench& bench, const Listed& index) {
  std::vector<float> one = random_rows(bench.seed, 1, kWidth), spoilt = random_rows(bench.seed, 40, kWidth);
  spoilt[7 * kWidth + 2] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> same(40 * kWidth, 0.25f), wide = random_rows(bench.seed, 40, kWidth + 1);
  const nf_matrix one_row = matrix_of(one, kWidth), bad = matrix_of(spoilt, kWidth),
                  equal = matrix_of(same, kWidth), other = matrix_of(wide, kWidth + 1);
  const std::vector<int64_t> before = index.answers();
  const auto check = [&](const char* name, const char* words, auto change) {
    nf_train request = sized<nf_train>();
    change(request);
    nf_step step = sized<nf_step>();
    Caller caller;
    const nf_status status = bench.api->index_train(index.get(), &request, &step, &caller.call);
    refused(bench, name, status, NF_INVALID_ARGUMENT, words, caller);
    bench.report->check(index.answers() == before && bench.info(index.get()).lists == kLists,
                        std::string(name) + ": the index is as it was");
  };
  check("lists -1", "lists=-1", [](nf_train& t) { t.lists = -1; });
  check("lists above the rows", "lists=301, there are 300 rows", [](nf_train& t) { t.lists = kCount + 1; });
  check("iterations -1", "iterations=-1", [](nf_train& t) { t.iterations = -1; });
  check("sample below the lists", "sample=5", [](nf_train& t) { t.lists = kLists, t.sample = kLists - 1; });
  check("data of one row", "data->rows=1", [&](nf_train& t) { t.data = &one_row; });
  check("data of another width", "cols", [&](nf_train& t) { t.data = &other; });
  check("NaN in the data", "row 7, dimension 2 is NaN", [&](nf_train& t) { t.data = &bad, t.lists = 3; });
  check("fewer places than lists", "clusters", [&](nf_train& t) { t.data = &equal, t.lists = 3; });

  // Cancelled, at every step of it.
  for (int steps = 0;; ++steps) {
    nf_train request = sized<nf_train>();
    request.lists = 3;
    nf_step step = sized<nf_step>();
    step.budget_ns = 1;
    Caller caller;
    for (int i = 0; i < steps && step.done == 0; ++i)
      bench.ok(bench.api->index_train(index.get(), &request, &step, &caller.call), "a step of a training",
               caller);
    if (step.done != 0) break;
    const uint32_t raised = 1;
    caller.call.cancel = &raised;
    refused(bench, "a training cancelled", bench.api->index_train(index.get(), &request, &step, &caller.call),
            NF_CANCELLED, "", caller);
    bench.report->check(bench.info(index.get()).lists == kLists && index.answers() == before,
                        "a training cancelled: the index is as it was");
  }
  index.train();
}

void test_written(const Bench& bench, const Listed& index) {
  std::vector<float> values(static_cast<size_t>(kLists * kWidth));
  std::vector<int32_t> of_row(static_cast<size_t>(kCount));
  std::vector<float> calibration(NF_CALIBRATION);
  nf_matrix centroids = matrix_of(values, kWidth);
  const auto lists = [&] {
    nf_lists request = sized<nf_lists>();
    request.centroids = &centroids;
    request.list_of_row = of_row.data();
    request.row_count = kCount;
    request.calibration = calibration.data();
    request.calibration_count = NF_CALIBRATION;
    return request;
  };
  Caller caller;
  nf_lists read = lists();
  bench.ok(bench.api->index_read_lists(index.get(), &read, &caller.call), "read_lists", caller);
  const std::vector<int64_t> before = index.answers();
  const std::vector<int32_t> right = of_row;
  const auto check = [&](const char* name, const char* words, bool also_reads, auto change) {
    for (const bool writes : {true, false}) {
      if (!writes && !also_reads) continue;
      of_row = right;
      nf_lists request = lists();
      change(request);
      Caller call;
      const nf_status status = writes ? bench.api->index_write_lists(index.get(), &request, &call.call)
                                      : bench.api->index_read_lists(index.get(), &request, &call.call);
      refused(bench, std::string(writes ? "write_lists: " : "read_lists: ") + name, status,
              NF_INVALID_ARGUMENT, words, call);
    }
    bench.report->check(index.answers() == before, std::string(name) + ": the index is as it was");
  };
  nf_matrix none = centroids;
  none.rows = 0;
  check("a list out of range", "list_of_row[4]=6", false, [&](nf_lists&) { of_row[4] = kLists; });
  check("a list below 0", "list_of_row[4]=-1", false, [&](nf_lists&) { of_row[4] = -1; });
  check("too few rows", "row_count=299", true, [](nf_lists& l) { l.row_count = kCount - 1; });
  check("no centroids", "centroids->rows=0", true, [&](nf_lists& l) { l.centroids = &none; });
  check("centroids NULL", "NULL", true, [](nf_lists& l) { l.centroids = nullptr; });
  check("too little calibration", "calibration_count=45", true, [](nf_lists& l) { --l.calibration_count; });
  std::vector<float> spoilt = calibration;
  spoilt[2] = 2;
  check("calibration above 1", "calibration[2]=2", false,
        [&](nf_lists& l) { l.calibration = spoilt.data(); });
  of_row = right;
  nf_lists written = lists();
  bench.ok(bench.api->index_write_lists(index.get(), &written, &caller.call), "write_lists", caller);
  bench.report->check(index.answers() == before, "write_lists: answers are those before");
}

// Twice as many rows again around one centroid, far from the borders of its list, so that it is split.
void crowd(const Bench& bench, const Listed& index) {
  std::vector<float> centroids(static_cast<size_t>(kLists * kWidth)), calibration(NF_CALIBRATION);
  std::vector<int32_t> of_row(static_cast<size_t>(kCount));
  nf_matrix into = matrix_of(centroids, kWidth);
  nf_lists lists = sized<nf_lists>();
  lists.centroids = &into;
  lists.list_of_row = of_row.data();
  lists.row_count = kCount;
  lists.calibration = calibration.data();
  lists.calibration_count = NF_CALIBRATION;
  Caller caller;
  bench.ok(bench.api->index_read_lists(index.get(), &lists, &caller.call), "read_lists", caller);
  std::vector<float> rows = random_rows(bench.seed + 9, 2 * kCount, kWidth);
  for (size_t i = 0; i < rows.size(); ++i)
    rows[i] = centroids[i % static_cast<size_t>(kWidth)] + rows[i] / 16;
  bench.add(index.get(), rows, kWidth);
}

void test_maintenances(const Bench& bench, const Listed& index) {
  nf_step step = sized<nf_step>();
  nf_maintain request = sized<nf_maintain>();
  {
    Caller caller;
    bench.ok(bench.api->index_maintain(index.get(), &request, &step, &caller.call), "maintain", caller);
    bench.report->check(step.done == 1 && request.split == 0, "maintain: even lists are left alone");
  }
  crowd(bench, index);
  const std::vector<int64_t> before = index.answers();
  const auto check = [&](const char* name, nf_status wanted, const char* words, auto change) {
    nf_step asked = sized<nf_step>();
    nf_maintain how = sized<nf_maintain>();
    how.split = how.merged = how.moved = -7;
    change(how, asked);
    Caller caller;
    refused(bench, name, bench.api->index_maintain(index.get(), &how, &asked, &caller.call), wanted, words,
            caller);
    bench.report->check(how.split == -7 && how.merged == -7 && how.moved == -7 && asked.done == 0,
                        std::string(name) + ": nothing is written");
    bench.report->check(index.answers() == before && bench.info(index.get()).lists == kLists,
                        std::string(name) + ": the index is as it was");
  };
  check("maintain: flags", NF_UNIMPLEMENTED, "flags=0x2", [](nf_maintain& r, nf_step&) { r.flags = 2; });
  check("maintain: a short request", NF_INVALID_ARGUMENT, "struct_size",
        [](nf_maintain& r, nf_step&) { --r.struct_size; });
  check("maintain: a short step", NF_INVALID_ARGUMENT, "struct_size",
        [](nf_maintain&, nf_step& s) { --s.struct_size; });
  check("maintain: budget_ns -1", NF_INVALID_ARGUMENT, "budget_ns=-1",
        [](nf_maintain&, nf_step& s) { s.budget_ns = -1; });
  check("maintain: position -1", NF_INVALID_ARGUMENT, "position=-1",
        [](nf_maintain&, nf_step& s) { s.position = -1; });
  check("maintain: work", NF_INVALID_ARGUMENT, "a maintenance has none",
        [](nf_maintain&, nf_step& s) { s.work = &s; });
  Caller caller;
  refused(bench, "maintain: request NULL",
          bench.api->index_maintain(index.get(), nullptr, &step, &caller.call), NF_INVALID_ARGUMENT,
          "request is NULL", caller);
  refused(bench, "maintain: step NULL",
          bench.api->index_maintain(index.get(), &request, nullptr, &caller.call), NF_INVALID_ARGUMENT,
          "step is NULL", caller);
  refused(bench, "maintain: index NULL", bench.api->index_maintain(nullptr, &request, &step, &caller.call),
          NF_INVALID_ARGUMENT, "NULL", caller);

  // Given up while it holds a second copy, by a call that never gets to a step.
  const uint64_t bytes = bench.info(index.get()).device_bytes;
  step = sized<nf_step>();
  step.budget_ns = 1;
  while (step.done == 0 && bench.info(index.get()).device_bytes == bytes)
    bench.ok(bench.api->index_maintain(index.get(), &request, &step, &caller.call), "maintain", caller);
  bench.report->check(step.done == 0, "maintain: rows are copied in steps");
  const uint32_t raised = 1;
  caller.call.cancel = &raised;
  refused(bench, "maintain: cancelled", bench.api->index_maintain(index.get(), &request, &step, &caller.call),
          NF_CANCELLED, "", caller);
  bench.report->check(bench.info(index.get()).device_bytes == bytes && index.answers() == before,
                      "maintain, cancelled: the index is as it was");
  caller.call.cancel = nullptr;
  step = sized<nf_step>();
  bench.ok(bench.api->index_maintain(index.get(), &request, &step, &caller.call), "maintain", caller);
  bench.report->check(
      step.done == 1 && step.position == 3 * kCount && request.split == 1 && request.moved > 0,
      "maintain: a list is split", std::to_string(request.split));
  bench.report->check(bench.info(index.get()).lists > kLists, "maintain: there are more lists");
}

}  // namespace

void test_lists(const Bench& bench) {
  const ContextHandle context = bench.context();
  nf_capability what = sized<nf_capability>();
  what.op = NF_OP_INDEX;
  what.index_kind = NF_IVF;
  what.metric = NF_L2SQ;
  what.input_dtype = what.store_dtype = what.scan_dtype = NF_F32;
  if (bench.api->supports(context.get(), &what) != 1) {
    nf_index_desc desc = flat(NF_L2SQ, kWidth);
    desc.kind = NF_IVF;
    Caller caller;
    nf_index* made = nullptr;
    refused(bench, "index_create, with lists",
            bench.api->index_create(context.get(), &desc, &made, &caller.call), NF_UNIMPLEMENTED, "lists",
            caller);
    return;
  }
  for (const int32_t scan_dtype : {NF_F32, NF_I8}) {
    const Listed index(bench, context.get(), scan_dtype);
    index.train();
    test_searches(bench, index);
    test_trainings(bench, index);
    test_written(bench, index);
    test_maintenances(bench, index);
  }
}

}  // namespace nearfield_test
