// SPDX-License-Identifier: Apache-2.0
// What this machine can do at most, measured with the threads of the benchmark: reading memory, f32
// multiply-adds, and copying into pages that the process has not touched before.
#include <algorithm>
#include <cstring>
#include <vector>

#include "commands.hpp"
#include "limits_kernels.hpp"
#include "pages.hpp"
#include "parallel.hpp"

namespace nearfield::bench {
namespace {

const LimitKernels& kernels_of(const std::string& path) {
  for (const LimitKernels* kernels : {
#if defined(__x86_64__)
         &kLimitsAvx512, &kLimitsAvx2,
#endif
             &kLimitsBase
       }) {
    if (path.empty() ? kernels->supported() : path == kernels->path) {
      if (!kernels->supported()) break;
      return *kernels;
    }
  }
  throw Refused("limits: path=\"" + path + "\" is not one that this CPU has");
}

// The fastest of several passes over a buffer that the threads share out: what can be reached, not what is
// usual.
double read_rate(const LimitKernels& kernels, int threads, int64_t bytes, double time) {
  const int64_t unit = kReadUnit * threads;
  bytes = std::max<int64_t>((bytes + unit - 1) / unit, 4096) * unit;
  const Pages pages(static_cast<size_t>(bytes), true);
  parallel(threads, [&](int t, int all) {  // each thread's part in memory near it
    std::memset(pages.data() + bytes / all * t, t + 1, static_cast<size_t>(bytes / all));
  });
  double best = 0;
  for (const int64_t ahead : {0, 1024, 4096}) {
    const double end = now() + time / 2;
    do {
      const double seconds = parallel(
          threads, [&](int t, int all) { kernels.read(pages.data() + bytes / all * t, bytes / all, ahead); });
      best = std::max(best, static_cast<double>(bytes) / seconds);
    } while (now() < end);
  }
  return best;
}

double multiply_add_rate(const LimitKernels& kernels, int threads, double time) {
  constexpr int64_t kRounds = 4'000'000;  // some 10 ms
  const double flops = 2.0 * kRounds * kernels.chains * kernels.lanes * threads;
  double best = 0;
  const double end = now() + time;
  do {
    const double seconds = parallel(threads, [&](int, int) { kernels.multiply_add(kRounds); });
    best = std::max(best, flops / seconds);
  } while (now() < end);
  return best;
}

// Cycles a second of a core that is busy: a chain of additions takes one cycle each.
double clock_rate(int threads, double time) {
  constexpr int64_t kRounds = 1'000'000;
  constexpr int kAdditions = 16;
  double best = 0;
  const double end = now() + time / 4;
  do {
    const double seconds = parallel(threads, [&](int, int) {
      uint64_t x = 1;
      const uint64_t step = 3;
      for (int64_t i = 0; i < kRounds; ++i) {
        for (int j = 0; j < kAdditions; ++j) {
#if defined(__x86_64__)
          asm volatile("add %1, %0" : "+r"(x) : "r"(step));
#else
          asm volatile("add %0, %0, %1" : "+r"(x) : "r"(step));
#endif
        }
      }
    });
    best = std::max(best, static_cast<double>(kRounds) * kAdditions / seconds);
  } while (now() < end);
  return best;
}

// One thread's memcpy, from warm pages into pages of a mapping just made: what storing rows costs at least.
double cold_copy_rate(int64_t bytes, bool huge) {
  const auto size = static_cast<size_t>(std::min<int64_t>(std::max<int64_t>(bytes, 1 << 20), 512 << 20));
  const Pages from(size, true);
  std::memset(from.data(), 1, size);
  double best = 0;
  for (int i = 0; i < 3; ++i) {
    const Pages to(size, huge);
    const double start = now();
    std::memcpy(to.data(), from.data(), size);
    best = std::max(best, static_cast<double>(size) / (now() - start));
  }
  return best;
}

}  // namespace

Reply limits(const Command& command) {
  const LimitKernels& kernels = kernels_of(command.text("path", ""));
  int threads = static_cast<int>(command.integer("threads", 0));
  if (threads < 1) threads = usable_threads();
  const int64_t bytes = command.integer("bytes");
  const double time = static_cast<double>(command.integer("millis", 400)) / 1000;
  const double flops = multiply_add_rate(kernels, threads, time), clock = clock_rate(threads, time);
  return Reply()
      .set("path", kernels.path)
      .set("threads", threads)
      .set("read_bytes_per_s", read_rate(kernels, threads, bytes, time))
      .set("flops_per_s", flops)
      .set("clock_hz", clock)
      .set("multiply_adds_per_cycle", flops / (2.0 * kernels.lanes * threads * clock));
}

Reply copying(const Command& command) {
  const int64_t bytes = command.integer("bytes");
  return Reply()
      .set("memcpy_cold_bytes_per_s", cold_copy_rate(bytes, false))
      .set("memcpy_cold_huge_bytes_per_s", cold_copy_rate(bytes, true));
}

}  // namespace nearfield::bench
