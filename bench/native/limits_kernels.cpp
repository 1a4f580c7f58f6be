// SPDX-License-Identifier: Apache-2.0
// Compiled once per instruction path; NEARFIELD_LANES is its width in floats. No code of the standard
// library: its inline functions would be compiled for instructions that the CPU may lack, and linked into
// everything.
#include "limits_kernels.hpp"

namespace nearfield::bench {
namespace {

using Floats [[gnu::vector_size(NEARFIELD_LANES * 4)]] = float;
using Ints [[gnu::vector_size(NEARFIELD_LANES * 4)]] = unsigned;

// A multiply-add takes 4 cycles, and 2 (x86) or 4 (Neoverse V) start in each: 8 or 16 chains. Of AVX2's 16
// registers two hold the factors.
#if defined(__x86_64__)
constexpr int kChains = 12;
#else
constexpr int kChains = 16;
#endif

constexpr int64_t kLine = 64;
constexpr int kPerLine = kLine / static_cast<int>(sizeof(Ints));

// Ends a chain of computations: the compiler can drop none of it.
template <typename T>
void keep(const T& value) {
  asm volatile("" : : "m"(value) : "memory");
}

// Several streams a thread: a prefetcher follows each, and one alone leaves buffers for misses unused.
template <bool prefetch>
void read_streams(const char* from, int64_t bytes, int64_t ahead) {
  Ints sums[kReadStreams] = {};
  const int64_t part = bytes / kReadStreams;
  for (int64_t at = 0; at < part; at += kLine) {
    for (int s = 0; s < kReadStreams; ++s) {
      const char* line = from + s * part + at;
      if (prefetch) __builtin_prefetch(line + ahead);
      for (int i = 0; i < kPerLine; ++i)
        sums[s] += *reinterpret_cast<const Ints*>(line + i * static_cast<int>(sizeof(Ints)));
    }
  }
  for (const Ints& sum : sums) keep(sum);
}

void read(const char* from, int64_t bytes, int64_t ahead) {
  if (ahead != 0) {
    read_streams<true>(from, bytes, ahead);
  } else {
    read_streams<false>(from, bytes, 0);
  }
}

void multiply_add(int64_t rounds) {
  // Read from memory, so that nothing is known at compile time; the chains tend to 1 and never leave normal
  // numbers.
  volatile float numbers[2] = {0.9f, 0.1f};
  Floats factor, addend, chains[kChains];
  for (int i = 0; i < NEARFIELD_LANES; ++i) {
    factor[i] = numbers[0];
    addend[i] = numbers[1];
  }
  for (int c = 0; c < kChains; ++c) chains[c] = addend * static_cast<float>(c);
  for (int64_t i = 0; i < rounds; ++i) {
    for (int c = 0; c < kChains; ++c) chains[c] = chains[c] * factor + addend;
  }
  for (const Floats& chain : chains) keep(chain);
}

bool supported() {
#if defined(__AVX512F__)
  return __builtin_cpu_supports("avx512f");
#elif defined(__AVX2__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return true;
#endif
}

}  // namespace

#if defined(__AVX512F__)
const LimitKernels kLimitsAvx512 = {"avx512", NEARFIELD_LANES, supported, read, kChains, multiply_add};
#elif defined(__AVX2__)
const LimitKernels kLimitsAvx2 = {"avx2", NEARFIELD_LANES, supported, read, kChains, multiply_add};
#elif defined(__aarch64__)
const LimitKernels kLimitsBase = {"neon", NEARFIELD_LANES, supported, read, kChains, multiply_add};
#else
const LimitKernels kLimitsBase = {"emu128", NEARFIELD_LANES, supported, read, kChains, multiply_add};
#endif

}  // namespace nearfield::bench
