// SPDX-License-Identifier: Apache-2.0
// Streams and events of the emulated driver. What is enqueued runs when somebody asks an event or the stream
// whether it has: memory that is read, overwritten or freed too early is then caught in the act.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "driver.hpp"

namespace nearfield::cuda {

using Clock = std::chrono::steady_clock;

struct EventTag {
  // Of the last record: false until the stream has come there, and when that counts as done.
  bool reached = true;
  Clock::time_point ready{}, at{};  // at: when it was reached
  StreamTag* stream = nullptr;
};

struct StreamTag {
  using Step = std::function<Result()>;
  std::mutex mutex;
  std::deque<Step> steps;
  Clock::time_point ready{};  // when what was enqueued before the last event counts as done
  bool hung = false;          // a step answered kNotReady: nothing happens any more

  void push(Step step) {
    const std::lock_guard<std::mutex> lock(mutex);
    steps.push_back(std::move(step));
  }

  // Runs everything enqueued so far; the first failure ends it and drops the rest.
  Result run() {
    for (;;) {
      Step step;
      {
        const std::lock_guard<std::mutex> lock(mutex);
        if (hung) return kNotReady;
        if (steps.empty()) return kSuccess;
        step = std::move(steps.front());
        steps.pop_front();
      }
      if (const Result result = step(); result != kSuccess) {
        const std::lock_guard<std::mutex> lock(mutex);
        steps.clear();
        hung = result == kNotReady;
        return result;
      }
    }
  }
};

}  // namespace nearfield::cuda
