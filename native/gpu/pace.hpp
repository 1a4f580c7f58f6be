// SPDX-License-Identifier: Apache-2.0
// How much work a dispatch of about the target duration may hold, by what was measured.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "queue.hpp"

namespace nearfield::gpu {

class Pace {
 public:
  using Clock = std::chrono::steady_clock;

  // Until the first submission has been measured.
  explicit Pace(double units_per_ns) : first_(units_per_ns), units_per_ns_(units_per_ns) {}

  double units_per_dispatch() const { return units_per_ns_ * static_cast<double>(Queue::kDispatchTargetNs); }

  // A submission has ended now; submissions end in order. 0 units: measures nothing.
  void ended(Clock::time_point submitted, double units) {
    const Clock::time_point now = Clock::now();
    const double ns = std::chrono::duration<double, std::nano>(now - std::max(last_, submitted)).count();
    last_ = now;
    if (units <= 0) return;
    const double measured = units / std::max(ns, 1.0);
    // A short submission measures its own overhead, a busy machine measures the others: the pace slows only
    // when the target was missed, and not without end.
    if (measured > units_per_ns_)
      units_per_ns_ = std::min(measured, 2 * units_per_ns_);
    else if (ns > static_cast<double>(Queue::kDispatchTargetNs))
      units_per_ns_ = std::max({measured, units_per_ns_ / 2, first_ / 16});
  }

 private:
  double first_, units_per_ns_;
  Clock::time_point last_{};
};

}  // namespace nearfield::gpu
