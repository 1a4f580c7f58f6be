// SPDX-License-Identifier: Apache-2.0
// nearfield_suite: every case on every backend, through the C ABI.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "check.hpp"
#include "matrix.hpp"
#include "options.hpp"
#include "row_process.hpp"
#include "tests.hpp"

namespace nearfield::test {
namespace {

// Cases that are known to fail, with the reason: `case_text` is a part of the case's name. An entry whose
// cases pass is a failure, so that it goes away.
struct ExpectedFailure {
  const char* row;
  const char* case_text;
  const char* reason;
};
const std::vector<ExpectedFailure> kExpectedFailures = {};

const ExpectedFailure* expected_failure(const Backend& backend, const std::string& name) {
  for (const ExpectedFailure& e : kExpectedFailures)
    if (backend.row() == e.row && name.find(e.case_text) != std::string::npos) return &e;
  return nullptr;
}

class Suite {
 public:
  explicit Suite(const Options& options) : options_(options) {}

  int run() {
    const std::vector<Case> cases = chosen(options_.effort);
    if (options_.list) {
      for (const Case& c : cases) std::printf("%s\n", c.name().c_str());
      return 0;
    }
    if (cases.empty()) {
      std::fprintf(
          stderr,
          "nearfield_suite: no case contains \"%s\"; --list names them all, with --full the long ones too\n",
          options_.case_text.c_str());
      return 2;
    }
    const bool own_process = options_.outcomes >= 0;
    if (own_process) outcomes_ = fdopen(options_.outcomes, "w");
    open();
    if (own_process) RowProcess::write_column(outcomes_, *backends_[0]);
    if (!own_process)
      std::printf("nearfield_suite: %zu cases, %s, seed %llu\n", cases.size(), options_.effort_name(),
                  static_cast<unsigned long long>(options_.seed));
    for (const Case& c : cases) {
      if (backends_.empty()) break;  // every column has a process of its own
      const Problem problem(c, options_.seed);
      for (const auto& backend : backends_) {
        run_case(backend.get(), c, problem);
        if (options_.fail_fast && matrix_.total(Outcome::FAIL) != 0) return finish();
      }
    }
    return finish();
  }

 private:
  void open() {
    for (const std::string& row : options_.rows) {
      if (options_.outcomes < 0 && has_own_process(row)) {
        processes_.push_back(std::make_unique<RowProcess>(options_, row));
        continue;
      }
      backends_.push_back(
          std::make_unique<Backend>(row, options_.library_dir, options_.path, options_.checked));
      matrix_.column(Matrix::describe(*backends_.back()));
    }
    // What to agree with: the first backend that is present, or the CPU backend when only another one runs.
    for (const auto& backend : backends_)
      if (reference_ == nullptr && backend->present()) reference_ = backend.get();
    if (std::find(options_.rows.begin(), options_.rows.end(), "cpu") == options_.rows.end()) {
      extra_ = std::make_unique<Backend>("cpu", options_.library_dir, "");
      if (extra_->present()) reference_ = extra_.get();
    }
    // All forced paths by name, so that none is left out silently.
    for (const auto& backend : backends_) {
      if (!backend->present()) continue;
      std::string names;
      for (const std::string& path : backend->paths()) names += " " + path;
      std::printf("%s: %s, forced paths:%s\n", backend->row().c_str(), backend->info().name,
                  names.empty() ? " none" : names.c_str());
    }
  }

  void run_case(Backend* backend, const Case& c, const Problem& problem) {
    const auto start = std::chrono::steady_clock::now();
    std::string why;
    const Outcome outcome = judge(backend, c, problem, &why);
    const double ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    matrix_.record(c, backend->row(), outcome);
    if (outcomes_ != nullptr) RowProcess::write_outcome(outcomes_, c, outcome);
    if (outcome == Outcome::FAIL) {
      std::printf("FAIL %s %s\n  %s\n  rerun: %s\n", backend->row().c_str(), c.name().c_str(), why.c_str(),
                  options_.rerun(backend->row(), c.name()).c_str());
    } else if (options_.verbose) {
      std::printf("%-4s %7.1f ms %s %s%s%s\n", outcome == Outcome::PASS ? "ok" : "-", ms,
                  backend->row().c_str(), c.name().c_str(), why.empty() ? "" : ": ", why.c_str());
    }
    std::fflush(stdout);
  }

  Outcome judge(Backend* backend, const Case& c, const Problem& problem, std::string* why) {
    if (!backend->present()) {
      *why = backend->absent();
      return options_.required(backend->row()) ? Outcome::FAIL : Outcome::ABSENT;
    }
    const auto test =
        std::find_if(all_tests().begin(), all_tests().end(), [&](const Test& t) { return c.test == t.name; });
    try {
      check(test != all_tests().end(), "there is no test named %s", c.test.c_str());
      if (!backend->supports(test->operation, c.metric)) return Outcome::UNSUPPORTED;
      test->run({*backend, reference_ == backend ? nullptr : reference_, c, problem});
    } catch (const NotApplicable& reason) {
      *why = reason.what();
      return Outcome::SKIP;
    } catch (const Failure& failure) {
      *why = failure.what();
      return expected_failure(*backend, c.name()) != nullptr ? Outcome::XFAIL : Outcome::FAIL;
    }
    const ExpectedFailure* expected = expected_failure(*backend, c.name());
    if (expected == nullptr) return Outcome::PASS;
    *why = text("passes, but is listed as failing because %s", expected->reason);
    return Outcome::FAIL;
  }

  std::vector<Case> chosen(Effort effort) const {
    std::vector<Case> cases = all_cases(effort);
    std::erase_if(cases,
                  [&](const Case& c) { return c.name().find(options_.case_text) == std::string::npos; });
    return cases;
  }

  int finish() {
    if (outcomes_ != nullptr) return matrix_.total(Outcome::FAIL) == 0 ? 0 : 1;
    for (const auto& process : processes_) process->finish(chosen(process->effort()), &matrix_);
    std::vector<std::string> names;
    for (const Test& test : all_tests()) names.push_back(test.name);
    matrix_.print(names);
    const int64_t failed = matrix_.total(Outcome::FAIL);
    const int64_t skipped = matrix_.total(Outcome::ABSENT) + matrix_.total(Outcome::UNSUPPORTED) +
                            matrix_.total(Outcome::XFAIL) + matrix_.total(Outcome::SKIP);
    std::printf("%lld passed, %lld failed", static_cast<long long>(matrix_.total(Outcome::PASS)),
                static_cast<long long>(failed));
    if (skipped != 0) std::printf(", %lld skipped", static_cast<long long>(skipped));
    std::printf("\n");
    return failed == 0 ? 0 : 1;
  }

  const Options& options_;
  std::vector<std::unique_ptr<Backend>> backends_;
  std::vector<std::unique_ptr<RowProcess>> processes_;
  std::FILE* outcomes_ = nullptr;  // of a column's own process
  std::unique_ptr<Backend> extra_;
  Backend* reference_ = nullptr;
  Matrix matrix_;
};

}  // namespace

const std::vector<Test>& all_tests() {
  static const std::vector<Test> tests = {
      {"knn", NF_OP_KNN, test_knn},
      {"knn-steps", NF_OP_KNN, test_knn_steps},
      {"assign", NF_OP_ASSIGN, test_assign},
      {"kmeans", NF_OP_KMEANS, test_kmeans},
      {"kmeans-warm", NF_OP_KMEANS, test_kmeans_warm},
      {"kmeans-many", NF_OP_ASSIGN, test_kmeans_many},
      {"kmeans-levels", NF_OP_KMEANS, test_kmeans_levels},
      {"kmeans-far", NF_OP_KMEANS, test_kmeans_far},
      {"kmeans-balanced", NF_OP_KMEANS, test_kmeans_balanced},
      {"kmeans-ends", NF_OP_KMEANS, test_kmeans_ends},
      {"search", NF_OP_INDEX, test_search},
      {"score", NF_OP_INDEX, test_score},
      {"filter", NF_OP_INDEX, test_filter},
      {"within", NF_OP_INDEX, test_within},
      {"prefix", NF_OP_INDEX, test_prefix},
      {"add", NF_OP_INDEX, test_add},
      {"read", NF_OP_INDEX, test_read},
      {"replace", NF_OP_INDEX, test_replace},
      {"live", NF_OP_INDEX, test_live},
      {"hidden", NF_OP_INDEX, test_hidden},
      {"compact", NF_OP_INDEX, test_compact},
      {"ties", NF_OP_INDEX, test_ties},
      {"room", NF_OP_INDEX, test_room},
      {"memory", NF_OP_INDEX, test_memory},
      {"stop", NF_OP_INDEX, test_stop},
      {"bits-batch", NF_OP_INDEX, test_bits_batch},
      {"bits-filter", NF_OP_INDEX, test_bits_filter},
      {"bits-slabs", NF_OP_INDEX, test_bits_slabs},
      {"bits-workspace", NF_OP_INDEX, test_bits_workspace},
      {"bits-threads", NF_OP_INDEX, test_bits_threads},
      {"bits-paths", NF_OP_INDEX, test_bits_paths},
      {"bits-hardware", NF_OP_INDEX, test_bits_hardware},
      {"agree", NF_OP_INDEX, test_agree},
      {"model", NF_OP_INDEX, test_model},
      {"codes", NF_OP_INDEX, test_codes},
      {"codes-capped", NF_OP_INDEX, test_codes_capped},
      {"codes-model", NF_OP_INDEX, test_codes_model},
      {"codes-alone", NF_OP_INDEX, test_codes_alone},
      {"lists", NF_OP_INDEX, test_lists},
      {"lists-many", NF_OP_INDEX, test_lists_many},
      {"lists-model", NF_OP_INDEX, test_lists_model},
      {"lists-maintain", NF_OP_INDEX, test_lists_maintain},
      {"lists-maintain-wide", NF_OP_INDEX, test_lists_maintain_wide},
      {"lists-maintain-memory", NF_OP_INDEX, test_lists_maintain_memory},
      {"lists-drift", NF_OP_INDEX, test_lists_drift},
  };
  return tests;
}

}  // namespace nearfield::test

int main(int argc, char** argv) {
  std::string problem;
  const auto options = nearfield::test::parse(argc, argv, &problem);
  if (!options) {
    std::fprintf(stderr, "%s", problem.c_str());
    return problem.rfind("usage", 0) == 0 ? 0 : 2;
  }
  try {
    return nearfield::test::Suite(*options).run();
  } catch (const nearfield::test::Failure& failure) {
    // Before the first case: a library that cannot even be asked.
    std::printf("FAIL %s\n0 passed, 1 failed\n", failure.what());
    return 1;
  }
}
