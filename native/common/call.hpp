// SPDX-License-Identifier: Apache-2.0
// How one call may end early: deadline and cancel word, polled between dispatches of about 10 ms.
#pragma once

#include <chrono>
#include <cstdint>

#include "status.hpp"

namespace nearfield {

class Call {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Call(const nf_call* call, const char* operation) : call_(call), operation_(operation) {
    if (call_ == nullptr || call_->timeout_ns <= 0) return;
    const Clock::time_point now = Clock::now();
    const std::chrono::nanoseconds timeout(call_->timeout_ns);
    if (timeout >= Clock::time_point::max() - now) return;  // centuries: no deadline
    has_deadline_ = true;
    deadline_ = now + timeout;
  }

  bool is_cancelled() const {
    return call_ != nullptr && call_->cancel != nullptr &&
           __atomic_load_n(call_->cancel, __ATOMIC_RELAXED) != 0;
  }
  bool is_late() const { return has_deadline_ && Clock::now() >= deadline_; }
  // The caller no longer wants the result. Never throws.
  bool is_over() const { return is_cancelled() || is_late(); }

  // Any thread. NF_CANCELLED or NF_DEADLINE_EXCEEDED once the caller no longer wants the result.
  Status poll() const {
    if (is_cancelled()) return error(NF_CANCELLED, "%s: cancelled by the caller", operation_);
    if (is_late())
      return error(NF_DEADLINE_EXCEEDED, "%s: not finished within the time-out of %lld ns", operation_,
                   static_cast<long long>(call_->timeout_ns));
    return {};
  }

  // Three words the caller polls: phase, done, total.
  void progress(int64_t phase, int64_t done, int64_t total) const {
    if (call_ == nullptr || call_->progress == nullptr) return;
    __atomic_store_n(call_->progress + 0, phase, __ATOMIC_RELAXED);
    __atomic_store_n(call_->progress + 1, before_ + done, __ATOMIC_RELAXED);
    __atomic_store_n(call_->progress + 2, in_all_ != 0 ? in_all_ : total, __ATOMIC_RELAXED);
  }

  // This call for a part of its work, whose progress counts on from `before` rows of `in_all`.
  Call part(int64_t before, int64_t in_all) const {
    Call part = *this;
    part.before_ = before;
    part.in_all_ = in_all;
    return part;
  }

  const char* operation() const { return operation_; }

 private:
  const nf_call* call_;
  const char* operation_;
  bool has_deadline_ = false;
  Clock::time_point deadline_{};
  int64_t before_ = 0, in_all_ = 0;
};

}  // namespace nearfield
