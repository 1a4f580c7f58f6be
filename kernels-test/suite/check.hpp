// SPDX-License-Identifier: Apache-2.0
// How a test says that it failed: by throwing. The first failure ends the case.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace nearfield::test {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The case does not apply to this backend (nothing to compare with); counted as skipped, with the reason.
struct NotApplicable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[gnu::format(printf, 1, 2)]] inline std::string text(const char* format, ...) {
  char buffer[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(buffer, sizeof(buffer), format, arguments);
  va_end(arguments);
  return buffer;
}

template <typename... Arguments>
void check(bool condition, const char* format, Arguments... arguments) {
  if (condition) return;
  if constexpr (sizeof...(arguments) == 0) {
    throw Failure(format);
  } else {
    char buffer[1024];
    std::snprintf(buffer, sizeof(buffer), format, arguments...);
    throw Failure(buffer);
  }
}

}  // namespace nearfield::test
