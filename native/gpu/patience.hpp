// SPDX-License-Identifier: Apache-2.0
// How a queue waits for the device: asking, at first without giving the core away, and not without end.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

namespace nearfield::gpu {

// A device that ends nothing for so long has hung. A submission is made to take 10 ms
// (Queue::kDispatchTargetNs), and where the pace is wrong by the 16 times that gpu/pace.hpp allows, 160;
// drivers that watch for hangs themselves stop a kernel after 2 to 10 s; the first kernels of a process wait
// for their code for about a second.
inline constexpr std::chrono::nanoseconds kMostSilence = std::chrono::seconds(30);

class Patience {
 public:
  using Clock = std::chrono::steady_clock;

  // `spin`: how long not to give the core away. A nap of 50 us takes 100, which one query over 3 GB (0.7 ms)
  // would feel; a device that computes on this CPU needs the core itself.
  Patience(std::chrono::nanoseconds most, std::chrono::nanoseconds spin) : most_(most), spin_(spin) {}

  // To be asked in a loop: while (patience.left()) if (it has ended) return ...; What has ended meanwhile is
  // seen before the time is: a process that was stopped for a while loses nothing.
  bool left() {
    const auto passed = Clock::now() - start_;
    if (asked_ && passed > spin_) std::this_thread::sleep_for(std::chrono::microseconds(50));
    if (asked_ && last_ >= most_) return false;
    last_ = passed;
    asked_ = true;
    return true;
  }

  // "nothing ended for 30.0 s, 30.0 s is the limit"
  std::string text() const {
    char line[96];
    std::snprintf(line, sizeof(line), "nothing ended for %.1f s, %.1f s is the limit",
                  std::chrono::duration<double>(last_).count(), std::chrono::duration<double>(most_).count());
    return line;
  }

 private:
  std::chrono::nanoseconds most_, spin_, last_{};
  Clock::time_point start_ = Clock::now();
  bool asked_ = false;
};

inline constexpr std::chrono::nanoseconds kSpin = std::chrono::milliseconds(2);

}  // namespace nearfield::gpu
