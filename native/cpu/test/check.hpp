// SPDX-License-Identifier: Apache-2.0
// Just enough of a test harness: counts, names the failing line, prints the last line the runner reads.
#pragma once

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace nearfield::cpu::test {

inline int passed = 0;
inline int failed = 0;

inline bool check(bool ok, const char* what, const char* file, int line, const std::string& context = "") {
  ok ? ++passed : ++failed;
  if (!ok && failed <= 20)
    std::printf("FAIL %s:%d: %s%s%s\n", file, line, what, context.empty() ? "" : "  [",
                context.empty() ? "" : (context + "]").c_str());
  return ok;
}
#define CHECK(condition) ::nearfield::cpu::test::check((condition), #condition, __FILE__, __LINE__)
#define CHECK_IN(context, condition) \
  ::nearfield::cpu::test::check((condition), #condition, __FILE__, __LINE__, (context))

inline int finish() {
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

// The seed: the first argument, or `fallback`; printed with the line that repeats the run.
inline uint64_t seed_from(int argc, char** argv, uint64_t fallback) {
  const uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : fallback;
  std::printf("seed %" PRIu64 "; again with: %s %" PRIu64 "\n", seed, argv[0], seed);
  return seed;
}

}  // namespace nearfield::cpu::test
