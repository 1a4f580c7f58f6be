// SPDX-License-Identifier: Apache-2.0
// Counting checks of the emulator's tests.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "simt.hpp"

namespace nearfield::simt::test {

struct Report {
  int passed = 0, failed = 0;
  void check(bool holds, const std::string& what) {
    ++(holds ? passed : failed);
    if (!holds) std::printf("FAIL %s\n", what.c_str());
  }
  int finish() const {
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
  }
};

struct NamedSchedule {
  const char* name;
  Schedule schedule;
};
inline constexpr NamedSchedule kSchedules[] = {
    {"forward", Schedule::kForward}, {"reverse", Schedule::kReverse}, {"random", Schedule::kRandom}};

// What launch() said, or "".
inline std::string error_of(unsigned threads, const std::function<void()>& body, Options options = {},
                            unsigned blocks = 1) {
  try {
    launch({blocks}, {threads}, body, options);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace nearfield::simt::test
