// SPDX-License-Identifier: Apache-2.0
// The one error type of the natives. Nothing here prints, aborts or throws.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include "nearfield/nearfield.h"

namespace nearfield {

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(nf_status code, std::string message, int64_t native_code = 0)
      : code_(code), native_code_(native_code), message_(std::move(message)) {}

  bool ok() const { return code_ == NF_OK; }
  nf_status code() const { return code_; }
  int64_t native_code() const { return native_code_; }
  // One sentence: operation, actual value, limit.
  const std::string& message() const { return message_; }

 private:
  nf_status code_ = NF_OK;
  int64_t native_code_ = 0;
  std::string message_;
};

[[gnu::format(printf, 2, 3)]] inline Status error(nf_status code, const char* format, ...) {
  char text[sizeof(nf_error::message)];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  // A message that was too long may end within a code point.
  size_t length = std::strlen(text);
  if (length == sizeof(text) - 1) {
    while (length > 0 && (static_cast<unsigned char>(text[length - 1]) & 0xC0) == 0x80) --length;
    if (length > 0 && static_cast<unsigned char>(text[length - 1]) >= 0xC0) --length;
  }
  return Status(code, std::string(text, length));
}

#define NF_TRY(expression)                                                                           \
  do {                                                                                               \
    if (::nearfield::Status nf_try_status = (expression); !nf_try_status.ok()) return nf_try_status; \
  } while (0)

}  // namespace nearfield
