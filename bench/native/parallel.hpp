// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sched.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <exception>
#include <fstream>
#include <thread>
#include <vector>

namespace nearfield::bench {

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The cores this process may use: its affinity's, and no more than a container's CPU quota pays for, rounded
// up as the JDK does it, so that every system chooses the same number.
inline int usable_threads() {
  int64_t cores = std::max(1u, std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = std::max(1, CPU_COUNT(&set));
  std::ifstream file("/sys/fs/cgroup/cpu.max");  // "max 100000" where there is no quota: no number
  int64_t quota = 0, period = 0;
  if (file >> quota >> period && quota > 0 && period > 0)
    cores = std::min(cores, (quota + period - 1) / period);
#endif
  return static_cast<int>(cores);
}

// work(thread, threads) on each thread, started together; answers the seconds from the start of the first to
// the end of the last, as they themselves see it: the calling thread may be woken after they are done. An
// exception of one is thrown again here.
template <typename Work>
double parallel(int threads, const Work& work) {
  std::vector<std::exception_ptr> failures(static_cast<size_t>(threads));
  std::vector<double> starts(static_cast<size_t>(threads)), ends(static_cast<size_t>(threads));
  std::barrier<> line(threads);
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      const auto mine = static_cast<size_t>(t);
      line.arrive_and_wait();
      starts[mine] = now();
      try {
        work(t, threads);
      } catch (...) {
        failures[mine] = std::current_exception();
      }
      ends[mine] = now();
    });
  }
  for (std::thread& thread : running) thread.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  return *std::max_element(ends.begin(), ends.end()) - *std::min_element(starts.begin(), starts.end());
}

// The part of `count` that thread t of `threads` takes.
struct Share {
  int64_t from, to;
};
inline Share share(int64_t count, int t, int threads) {
  return {count * t / threads, count * (t + 1) / threads};
}

}  // namespace nearfield::bench
