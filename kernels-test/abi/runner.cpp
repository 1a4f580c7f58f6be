// SPDX-License-Identifier: Apache-2.0
#include "runner.hpp"

#include <cstring>

namespace nearfield_test {

nf_status Runner::call(Entry entry, const Change& change) {
  if (witness_ == nullptr) witness_ = std::make_unique<Witness>(bench_, context_, metric_);
  error_ = sized<nf_error>();
  requests_->fill(context_, witness_->index(), &error_);
  requests_->at.desc.metric = metric_;
  requests_->at.knn.metric = metric_;
  requests_->at.assign.metric = metric_;
  change(*requests_);
  std::memcpy(static_cast<void*>(before_.get()), requests_.get(), sizeof(Requests));
  const nf_status status = requests_->run(bench_.api, entry);
  if (status == NF_OK) {
    const bool changes = entry == Entry::kAdd || entry == Entry::kReplace || entry == Entry::kSetLive ||
                         entry == Entry::kCompact;
    if (changes) witness_.reset();
    requests_->destroy_made(bench_.api);
  }
  return status;
}

void Runner::judge_failure(Entry entry, const std::string& name, nf_status status, const std::string& words,
                           bool message) {
  Report& report = *bench_.report;
  std::memcpy(before_->at.progress, requests_->at.progress,
              sizeof(before_->at.progress));  // written on the way
  report.check(std::memcmp(before_.get(), requests_.get(), sizeof(Requests)) == 0, name,
               "the failed call changed a request or an output");
  const bool on_index = entry == Entry::kInfo || entry >= Entry::kAdd;
  if (on_index) report.check(witness_->unchanged(), name, "the failed call changed the index");
  const std::string text = error_.message;
  if (!message) {
    report.check(text.empty() && error_.status == NF_OK, name,
                 "wrote an error where it could not be read: " + text);
    return;
  }
  const std::string start = std::string(operation(entry)) + ": ";
  report.check(error_.status == status, name,
               "call->error->status is " + std::string(status_name(error_.status)));
  report.check(text.compare(0, start.size(), start) == 0, name,
               "message does not begin with the operation: " + text);
  report.check(text.find(words) != std::string::npos, name, "message without \"" + words + "\": " + text);
}

void Runner::expect(Entry entry, const std::string& name, const Expectation& expected, const Change& change) {
  const std::string what = std::string(operation(entry)) + ": " + name;
  const nf_status status = call(entry, change);
  bench_.report->check(status == expected.status, what,
                       std::string("answers ") + status_name(status) + ", not " +
                           status_name(expected.status) + "; " + error_.message);
  if (status == expected.status && status != NF_OK)
    judge_failure(entry, what, status, expected.words, expected.message);
}

nf_status Runner::expect_clean(Entry entry, const std::string& name, const Change& change) {
  const nf_status status = call(entry, change);
  const bool known = std::string(status_name(status)).rfind("NF_", 0) == 0 && status != NF_INTERNAL;
  bench_.report->check(known, name, std::string("answers ") + status_name(status) + " " + error_.message);
  if (status != NF_OK) judge_failure(entry, name, status, "", true);
  return status;
}

}  // namespace nearfield_test
