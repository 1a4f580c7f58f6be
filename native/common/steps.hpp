// SPDX-License-Identifier: Apache-2.0
// A step of work that the context keeps in between (nf_step.work): taken out, done, and put back.
#pragma once

#include <memory>
#include <utility>

#include "checks.hpp"
#include "context.hpp"
#include "works.hpp"

namespace nearfield {

// A copy of the caller's nf_step; of a call without steps, one that is to finish.
// Run: a Work with position() and is_done().
template <typename Run>
class Step {
 public:
  Step(Context& context, nf_step* step)
      : context_(context), step_(step != nullptr ? *step : nf_step{}), to_(step) {}

  // The work so far, or a new one.
  Status begin(const Call& call) {
    if (is_again())
      work_ = context_.works().take(token());
    else
      work_ = std::make_unique<Run>();
    run_ = dynamic_cast<Run*>(work_.get());
    if (run_ == nullptr)
      return error(NF_INVALID_ARGUMENT, "%s: step->work=%p is no work of this context that waits for a step",
                   call.operation(), step_.work);
    NF_TRY(check_budget(call, step_));
    if (step_.position != run_->position())
      return error(NF_INVALID_ARGUMENT, "%s: step->position=%lld, the work stands at %lld", call.operation(),
                   static_cast<long long>(step_.position), static_cast<long long>(run_->position()));
    return {};
  }
  Run& run() { return *run_; }
  bool is_again() const { return step_.work != nullptr; }
  int64_t budget_ns() const { return step_.budget_ns; }

  // After a step that succeeded; `write` hands out the result of work that is done.
  template <typename Write>
  void end(const Write& write) {
    step_.position = run_->position();
    step_.done = run_->is_done() ? 1 : 0;
    if (step_.done != 0) {
      write();
      step_.work = nullptr;
    } else {
      step_.work = reinterpret_cast<void*>(context_.works().keep(token(), std::move(work_)));
    }
    if (to_ != nullptr) *to_ = step_;
  }

 private:
  Works::Token token() const { return reinterpret_cast<Works::Token>(step_.work); }

  Context& context_;
  nf_step step_;
  nf_step* to_;
  std::unique_ptr<Work> work_;
  Run* run_ = nullptr;
};

// Of a request of the steps before: a number that must be as it was.
inline Status check_same(const Call& call, const char* name, int64_t now, int64_t then) {
  if (now == then) return {};
  return error(NF_INVALID_ARGUMENT, "%s: %s=%lld, the first step had %lld", call.operation(), name,
               static_cast<long long>(now), static_cast<long long>(then));
}

}  // namespace nearfield
