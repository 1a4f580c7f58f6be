// SPDX-License-Identifier: Apache-2.0
// Counting checks, and the seed that a run is repeated with.
#pragma once

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

namespace nearfield::test {

inline int passed = 0, failed = 0;
inline void check(bool holds, const std::string& what, const std::string& details = "") {
  holds ? ++passed : ++failed;
  if (!holds && failed <= 20)
    std::printf("FAIL %s%s%s\n", what.c_str(), details.empty() ? "" : ": ", details.c_str());
}

// --seed N, or one of its own; printed.
inline uint64_t seed_of(int argc, char** argv) {
  uint64_t seed = std::random_device()();
  for (int i = 1; i + 1 < argc; ++i)
    if (std::strcmp(argv[i], "--seed") == 0) seed = std::strtoull(argv[i + 1], nullptr, 10);
  std::printf("rerun with: %s --seed %" PRIu64 "\n", argv[0], seed);
  return seed;
}

inline int result() {
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace nearfield::test
