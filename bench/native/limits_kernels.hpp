// SPDX-License-Identifier: Apache-2.0
// The loops that reach the machine's limits, compiled once per instruction path from limits_kernels.cpp.
#pragma once

#include <cstdint>

namespace nearfield::bench {

struct LimitKernels {
  const char* path;
  int lanes;  // floats in a vector
  bool (*supported)();
  // Reads `bytes` bytes, a multiple of kReadUnit, in kReadStreams streams; `ahead` bytes are prefetched, 0:
  // none.
  void (*read)(const char* from, int64_t bytes, int64_t ahead);
  int chains;
  // `rounds` multiply-adds in each of `chains` independent chains of vectors.
  void (*multiply_add)(int64_t rounds);
};

constexpr int kReadStreams = 4;
constexpr int64_t kReadUnit = kReadStreams * 64;

extern const LimitKernels kLimitsAvx512, kLimitsAvx2, kLimitsBase;

}  // namespace nearfield::bench
