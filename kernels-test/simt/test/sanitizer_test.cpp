// SPDX-License-Identifier: Apache-2.0
// In a sanitizer's build: it must find faults planted in kernels, though they run on fibers, and nothing in
// kernels without a fault. Each runs in a process of its own, since a report ends it.
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "../cuda_dialect.hpp"
#include "../memory.hpp"
#include "check.hpp"

namespace nearfield::simt::test {
namespace {

constexpr unsigned kThreads = 64;
volatile float sinks[kThreads];  // what is read goes there, so that it is read
#define SINK sinks[threadIdx.x]

struct Planted {
  const char* what;
  const char* said;  // "": no fault
  void (*body)(float* global);
};

constexpr Planted kPlanted[] = {
    {"a barrier between write and read", "",
     [](float* global) {
       NF_SHARED(float, a, kThreads);
       a[threadIdx.x] = global[threadIdx.x];
       __syncthreads();
       SINK = a[threadIdx.x ^ 32];
       __syncthreads();
       a[threadIdx.x] = 2;
     }},
    {"atomics", "",
     [](float*) {
       NF_SHARED(unsigned, a, 1);
       if (threadIdx.x == 0) a[0] = 0;
       __syncthreads();
       atomicAdd(&a[0], 1u);
     }},
#if defined(__SANITIZE_THREAD__)
    {"no barrier between write and read", "data race",
     [](float*) {
       NF_SHARED(float, a, kThreads);
       a[threadIdx.x] = 1;
       SINK = a[threadIdx.x ^ 32];
     }},
    {"no barrier between read and the next write", "data race",
     [](float*) {
       NF_SHARED(float, a, kThreads);
       a[threadIdx.x] = 1;
       __syncthreads();
       SINK = a[threadIdx.x ^ 32];
       a[threadIdx.x] = 2;
     }},
    {"no barrier in global memory", "data race",
     [](float* global) {
       global[threadIdx.x] = 1;
       SINK = global[threadIdx.x ^ 32];
     }},
    {"an atomic and a plain write", "data race",
     [](float*) {
       NF_SHARED(unsigned, a, 1);
       if (threadIdx.x == 0) a[0] = 0;
       __syncthreads();
       if (threadIdx.x == 5) a[0] = 1;
       if (threadIdx.x == 40) atomicAdd(&a[0], 1u);
     }},
#endif
#if defined(__SANITIZE_ADDRESS__)
    {"the end of a shared array", "heap-buffer-overflow",
     [](float*) {
       NF_SHARED(float, a, kThreads);
       (&a[0])[threadIdx.x + 1] = 1;
     }},
    {"the end of global memory", "heap-buffer-overflow",
     [](float* global) { SINK = global[threadIdx.x + 1]; }},
    {"before global memory", "heap-buffer-overflow",
     [](float* global) { global[static_cast<int>(threadIdx.x) - 1] = 1; }},
    {"16 bytes at an address of 4", "misaligned address",
     [](float* global) { SINK = reinterpret_cast<float4*>(global + 1)->x; }},
#endif
};

// What a process that runs the kernel says on stderr, and whether it ended well.
std::string said_by(const Planted& planted, Schedule schedule, bool* ended_well) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    auto* const global = static_cast<float*>(allocate(kThreads * sizeof(float)));
    launch({1}, {kThreads}, [&] { planted.body(global); }, {.name = planted.what, .schedule = schedule});
    release(global);
    std::exit(0);  // TSan's verdict is the exit code
  }
  close(ends[1]);
  std::string text;
  char part[4096];
  for (ssize_t n; (n = read(ends[0], part, sizeof(part))) > 0;) text.append(part, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  *ended_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return text;
}

}  // namespace
}  // namespace nearfield::simt::test

int main() {
  using namespace nearfield::simt::test;
  Report report;
  for (const NamedSchedule& s : kSchedules)
    for (const Planted& planted : kPlanted) {
      bool ended_well = false;
      const std::string said = said_by(planted, s.schedule, &ended_well);
      const bool right =
          planted.said[0] == 0 ? ended_well && said.empty() : !ended_well && contains(said, planted.said);
      report.check(right, std::string(planted.what) + ", " + s.name + ":\n" + said);
    }
  return report.finish();
}
