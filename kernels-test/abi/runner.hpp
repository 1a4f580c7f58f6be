// SPDX-License-Identifier: Apache-2.0
// Makes one call with one thing changed, and judges all that the ABI promises about its outcome.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "requests.hpp"

namespace nearfield_test {

using Change = std::function<void(Requests&)>;

struct Expectation {
  nf_status status = NF_OK;
  std::string words;    // must occur in the message
  bool message = true;  // false: the block itself is unreadable, so that there is nowhere to say anything
};

class Runner {
 public:
  Runner(const Bench& bench, nf_context* context, int32_t metric)
      : bench_(bench), context_(context), metric_(metric), requests_(std::make_unique<Requests>()) {}

  void expect(Entry entry, const std::string& name, const Expectation& expected, const Change& change);
  // Any status will do, but a failure must be a clean one. For random requests.
  nf_status expect_clean(Entry entry, const std::string& name, const Change& change);

  const Requests& requests() const { return *requests_; }

 private:
  nf_status call(Entry entry, const Change& change);
  void judge_failure(Entry entry, const std::string& name, nf_status status, const std::string& words,
                     bool message);

  const Bench& bench_;
  nf_context* context_;
  int32_t metric_;
  std::unique_ptr<Requests> requests_;
  std::unique_ptr<Requests> before_ = std::make_unique<Requests>();
  std::unique_ptr<Witness> witness_;  // made again when a call has changed it
  nf_error error_{};
};

}  // namespace nearfield_test
