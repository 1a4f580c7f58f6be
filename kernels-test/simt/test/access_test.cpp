// SPDX-License-Identifier: Apache-2.0
// Faults planted in kernels whose loads and stores are checked: each must be found under every schedule, with
// the line that made it, and kernels without a fault must run.
#include "../cuda_dialect.hpp"
#include "../memory.hpp"
#include "../metal_dialect.hpp"
#include "../metal_dialect_end.hpp"
#include "check.hpp"

namespace nearfield::simt::test {
namespace {

constexpr unsigned kThreads = 128;
constexpr unsigned kBlocks = 3;

// Global memory for one kernel: 256 floats that the host wrote, and as many that nobody did.
struct Buffers {
  float* written = static_cast<float*>(allocate(1024));
  float* fresh = static_cast<float*>(allocate(1024));
  unsigned* counter = static_cast<unsigned*>(allocate(4));
  Buffers() {
    for (int i = 0; i < 256; ++i) written[i] = static_cast<float>(i);
    *counter = 0;
    mark_written(written, 1024);
    mark_written(counter, 4);
  }
  ~Buffers() {
    release(written);
    release(fresh);
    release(counter);
  }
};

using Body = void (*)(const Buffers&);

struct Planted {
  const char* what;
  const char* said;  // "" : no fault
  Body body;
};

// Keeps the compiler from folding what a kernel does into nothing.
volatile float sink;

const Planted kPlanted[] = {
    {"reads the last word", "", [](const Buffers& b) { sink = b.written[255 - threadIdx.x]; }},
    {"reads beyond the end", "outside of every allocation: read of 4 bytes",
     [](const Buffers& b) { sink = b.written[256 + threadIdx.x % 2]; }},
    {"reads before the start", "outside of every allocation",
     [](const Buffers& b) { sink = b.written[static_cast<int>(threadIdx.x) - 1]; }},
    {"writes far away", "outside of every allocation: write",
     [](const Buffers& b) { b.fresh[100'000 + threadIdx.x] = 1; }},
    {"reads what nobody wrote", "never written: read of 4 bytes",
     [](const Buffers& b) { sink = b.fresh[threadIdx.x]; }},
    {"reads what it wrote itself", "",
     [](const Buffers& b) {
       if (blockIdx.x != 0) return;
       b.fresh[threadIdx.x] = 1;
       sink = b.fresh[threadIdx.x];
     }},
    {"adds to what nobody wrote", "never written: atomic operation",
     [](const Buffers& b) { atomicAdd(&b.fresh[threadIdx.x], 1.0f); }},
    {"16 bytes at an address of 4", "misaligned read",
     [](const Buffers& b) {
       const float4 v = *reinterpret_cast<const float4*>(b.written + 4 * (threadIdx.x % 8) + 1);
       sink = v.x + v.y + v.z + v.w;
     }},
    {"16 bytes at an address of 16", "",
     [](const Buffers& b) {
       const float4 v = *reinterpret_cast<const float4*>(b.written + 4 * (threadIdx.x % 8));
       sink = v.x + v.y + v.z + v.w;
     }},
    {"a shared array's end", "outside of every array: read of 4 bytes",
     [](const Buffers&) {
       NF_SHARED(float, a, kThreads);
       a[threadIdx.x] = 1;
       __syncthreads();
       sink = a[threadIdx.x + 1];
     }},
    {"from one shared array into another", "outside of every array",
     [](const Buffers&) {
       NF_SHARED(float, a, kThreads);
       NF_SHARED(float, c, kThreads);
       a[threadIdx.x] = c[threadIdx.x] = 1;
       __syncthreads();
       sink = (&c[0])[-static_cast<int>(threadIdx.x)];
     }},
    {"shared memory that nobody wrote", "never written: read",
     [](const Buffers&) {
       NF_SHARED(float, a, kThreads);
       if (threadIdx.x != 77) a[threadIdx.x] = 1;
       __syncthreads();
       sink = a[threadIdx.x];
     }},
    {"shared memory of the block before", "never written: read",
     [](const Buffers&) {
       NF_SHARED(float, a, kThreads);
       if (blockIdx.x == 1) a[threadIdx.x] = 1;
       __syncthreads();
       if (blockIdx.x != 1) sink = a[threadIdx.x];
     }},
    {"no barrier between write and read", "race in shared memory",
     [](const Buffers&) {
       NF_SHARED(float, a, kThreads);
       a[threadIdx.x] = 0;
       __syncthreads();
       a[threadIdx.x] = 1;
       sink = a[threadIdx.x ^ 32];
     }},
    {"a barrier between write and read", "",
     [](const Buffers&) {
       NF_SHARED(float, a, kThreads);
       a[threadIdx.x] = 1;
       __syncthreads();
       sink = a[threadIdx.x ^ 32];
     }},
    {"no barrier between read and the next write", "race in shared memory",
     [](const Buffers&) {
       NF_SHARED(float, a, kThreads);
       a[threadIdx.x] = 1;
       __syncthreads();
       sink = a[threadIdx.x ^ 32];
       a[threadIdx.x] = 2;
     }},
    {"read by all, then written by one", "race in shared memory",
     [](const Buffers&) {
       NF_SHARED(float, a, 1);
       if (threadIdx.x == 0) a[0] = 1;
       __syncthreads();
       sink = a[0];
       __syncwarp();
       if (threadIdx.x == 0) a[0] = 2;
     }},
    {"two threads write one word", "race in shared memory: write",
     [](const Buffers&) {
       NF_SHARED(float, a, kThreads);
       a[threadIdx.x / 2] = 1;
     }},
    {"an atomic and a plain write", "race in shared memory",
     [](const Buffers&) {
       NF_SHARED(unsigned, a, 1);
       if (threadIdx.x == 0) a[0] = 0;
       __syncthreads();
       if (threadIdx.x == 5) a[0] = 1;
       if (threadIdx.x == 70) atomicAdd(&a[0], 1u);
     }},
    {"atomics only", "",
     [](const Buffers& b) {
       NF_SHARED(unsigned, a, 1);
       if (threadIdx.x == 0) a[0] = 0;
       __syncthreads();
       atomicAdd(&a[0], 1u);
       atomicMax(b.counter, threadIdx.x);
     }},
    {"no __syncwarp inside a warp", "race in shared memory",
     [](const Buffers&) {
       NF_SHARED(float, a, kThreads);
       a[threadIdx.x] = 0;
       __syncthreads();
       a[threadIdx.x] = 1;
       sink = a[threadIdx.x ^ 1];
     }},
    {"a shuffle orders no memory", "race in shared memory",
     [](const Buffers&) {
       NF_SHARED(float, a, kThreads);
       a[threadIdx.x] = 0;
       __syncthreads();
       a[threadIdx.x] = 1;
       __shfl_xor_sync(~0u, 1, 1);
       sink = a[threadIdx.x ^ 1];
     }},
    {"__syncwarp inside a warp", "",
     [](const Buffers&) {
       NF_SHARED(float, a, kThreads);
       a[threadIdx.x] = 1;
       __syncwarp();
       sink = a[threadIdx.x ^ 1];
       __syncwarp();
       a[threadIdx.x ^ 2] = 2;
     }},
    {"readers ordered by __syncwarp, the last of which writes", "",
     [](const Buffers&) {
       NF_SHARED(float, a, kThreads);
       a[threadIdx.x] = 1;
       for (unsigned step = 1; step < 32; step *= 2) {
         __syncwarp();
         const unsigned to = threadIdx.x ^ step;
         a[to] = a[to] + 1;
       }
     }},
    {"__syncwarp between two warps", "race in shared memory",
     [](const Buffers&) {
       NF_SHARED(float, a, kThreads);
       a[threadIdx.x] = 0;
       __syncthreads();
       a[threadIdx.x] = 1;
       __syncwarp();
       sink = a[threadIdx.x ^ 32];
     }},
    {"two blocks write one word", "race in global memory: write",
     [](const Buffers& b) { b.fresh[threadIdx.x] = 1; }},
    {"a block reads what another writes", "race in global memory",
     [](const Buffers& b) {
       if (blockIdx.x == 0) b.written[threadIdx.x] = 1;
       if (blockIdx.x == 1) sink = b.written[threadIdx.x];
     }},
    {"blocks read one word", "", [](const Buffers& b) { sink = b.written[threadIdx.x % 3]; }},
    {"two blocks read, then one of them writes", "race in global memory",
     [](const Buffers& b) {
       if (blockIdx.x < 2) sink = b.written[threadIdx.x];
       __syncthreads();
       if (blockIdx.x == 1) b.written[threadIdx.x] = 1;
     }},
    {"no barrier between threads, in global memory", "race in global memory",
     [](const Buffers& b) {
       if (blockIdx.x != 0) return;
       b.written[threadIdx.x] = 1;
       sink = b.written[threadIdx.x ^ 64];
     }},
    {"a Metal barrier that orders threadgroup memory only", "race in global memory",
     [](const Buffers& b) {
       if (blockIdx.x != 0) return;
       b.written[threadIdx.x] = 1;
       metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
       sink = b.written[threadIdx.x ^ 64];
     }},
    {"a Metal barrier that orders device memory", "",
     [](const Buffers& b) {
       if (blockIdx.x != 0) return;
       b.written[threadIdx.x] = 1;
       metal::threadgroup_barrier(metal::mem_flags::mem_device);
       sink = b.written[threadIdx.x ^ 64];
     }},
    {"a Metal barrier that orders device memory only", "race in shared memory",
     [](const Buffers&) {
       NF_SHARED(float, a, kThreads);
       a[threadIdx.x] = 1;
       metal::threadgroup_barrier(metal::mem_flags::mem_device);
       sink = a[threadIdx.x ^ 64];
     }},
    {"an asynchronous copy that nobody waits for", "never written: read",
     [](const Buffers& b) {
       NF_SHARED(float, a, kThreads);
       copy_async(&a[threadIdx.x], &b.written[threadIdx.x], 4);
       copy_async_commit();
       __syncthreads();
       sink = a[threadIdx.x];
     }},
    {"an asynchronous copy over what was there, that nobody waits for", "never written: read",
     [](const Buffers& b) {
       NF_SHARED(float, a, kThreads);
       a[threadIdx.x] = 0;
       __syncthreads();
       copy_async(&a[threadIdx.x], &b.written[threadIdx.x], 4);
       sink = a[threadIdx.x];
     }},
    {"an asynchronous copy over what another thread still reads", "race in shared memory",
     [](const Buffers& b) {
       NF_SHARED(float, a, kThreads);
       a[threadIdx.x] = 0;
       __syncthreads();
       sink = a[threadIdx.x ^ 32];
       copy_async(&a[threadIdx.x], &b.written[threadIdx.x], 4);
       copy_async_commit();
       copy_async_wait(0);
     }},
    {"asynchronous copies of rows and of zeros, waited for", "",
     [](const Buffers& b) {
       NF_SHARED(float, a, kThreads);
       copy_async(&a[threadIdx.x], threadIdx.x % 2 == 0 ? &b.written[threadIdx.x] : nullptr, 4);
       copy_async_commit();
       copy_async_wait(0);
       __syncthreads();
       sink = a[threadIdx.x ^ 64];
     }},
    {"an asynchronous copy from beyond the end", "outside of every allocation",
     [](const Buffers& b) {
       NF_SHARED(float, a, kThreads);
       copy_async(&a[threadIdx.x], &b.written[threadIdx.x + 192], 4);
       copy_async_commit();
       copy_async_wait(0);
     }},
};

void planted(Report& report) {
  for (const NamedSchedule& s : kSchedules) {
    for (const Planted& p : kPlanted) {
      const Buffers buffers;
      const std::string said = error_of(
          kThreads, [&] { p.body(buffers); }, {.name = "planted", .schedule = s.schedule, .seed = 5},
          kBlocks);
      const bool right =
          p.said[0] == 0 ? said.empty() : contains(said, p.said) && contains(said, "access_test.cpp:");
      report.check(right, std::string(p.what) + ", " + s.name + ": \"" + said + "\"");
    }
  }
}

// What one launch wrote, the next may read and overwrite; memory that was freed it may not.
void between_launches(Report& report) {
  auto* const memory = static_cast<float*>(allocate(4 * kThreads));
  const auto write = [&] { memory[threadIdx.x] = 1; };
  const auto read = [&] { sink = memory[kThreads - 1 - threadIdx.x]; };
  report.check(error_of(kThreads, write).empty() && error_of(kThreads, read).empty() &&
                   error_of(kThreads, write).empty(),
               "launches are ordered");
  auto* const copy = static_cast<float*>(allocate(4 * kThreads));
  copy_marks(copy, memory, 4 * (kThreads - 1));
  const auto read_copy = [&] { sink = copy[threadIdx.x]; };
  report.check(error_of(kThreads - 1, read_copy).empty(), "a copy carries what was written");
  report.check(contains(error_of(kThreads, read_copy), "never written"), "and what was not");
  release(copy);
  release(memory);
  report.check(contains(error_of(kThreads, read), "outside of every allocation"), "freed memory is found");
  report.check(!allocated(memory, 4), "freed memory is not allocated");
}

}  // namespace
}  // namespace nearfield::simt::test

int main() {
  nearfield::simt::test::Report report;
  nearfield::simt::test::planted(report);
  nearfield::simt::test::between_launches(report);
  return report.finish();
}
