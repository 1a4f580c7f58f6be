// SPDX-License-Identifier: Apache-2.0
// The border of the ABI: reads nf_call, turns exceptions into statuses and fills the caller's nf_error.
// Inside, floating point rounds and keeps subnormals as C++ expects, whatever the caller's thread is set to.
#pragma once

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <stdexcept>
#include <string_view>

#include "call.hpp"
#include "float_mode.hpp"
#include "request.hpp"
#include "status.hpp"

namespace nearfield {

// What of a caller's nf_call may be used.
struct CallBlock {
  nf_call call{};
  nf_error* error = nullptr;  // fit to be written
};

inline Status read_call(const Call& unnamed, const nf_call* from, CallBlock* to) {
  if (from == nullptr) return {};
  NF_TRY(check_pointer(unnamed, "call", from));
  if (from->struct_size < kFirstSize<nf_call> || from->struct_size > kLargestSize)
    return check_struct(unnamed, "call",
                        from);  // nothing in it can be trusted, not even where the error goes
  nf_error* const sink = from->error;
  if (sink != nullptr) {
    NF_TRY(check_pointer(unnamed, "call->error", sink));
    if (sink->struct_size < kFirstSize<nf_error> || sink->struct_size > kLargestSize)
      return check_struct(unnamed, "call->error", sink);
    to->error = sink;
  }
  NF_TRY(read_struct(unnamed, "call", from, &to->call));
  NF_TRY(check_flags(unnamed, "call->flags", to->call.flags, 0));
  NF_TRY(check_optional(unnamed, "call->cancel", to->call.cancel));
  NF_TRY(check_optional(unnamed, "call->progress", to->call.progress));
  if (to->call.timeout_ns < 0)
    return error(NF_INVALID_ARGUMENT, "%s: call->timeout_ns=%lld, it must be at least 0", unnamed.operation(),
                 static_cast<long long>(to->call.timeout_ns));
  return {};
}

// Cuts a message that is too long between two code points.
inline void report(nf_error* to, nf_status status, int64_t native_code, std::string_view message) noexcept {
  if (to == nullptr) return;
  size_t length = std::min(message.size(), sizeof(to->message) - 1);
  if (length < message.size())
    while (length > 0 && (static_cast<unsigned char>(message[length]) & 0xC0) == 0x80) --length;
  to->status = status;
  to->native_code = native_code;
  std::memcpy(to->message, message.data(), length);
  to->message[length] = '\0';
}

// Runs an entry of the ABI: body(call, error sink) -> Status.
template <typename Body>
nf_status enter(const char* operation, const nf_call* from, const Body& body) noexcept {
  const DefaultFloatMode mode;
  CallBlock block;
  nf_status code = NF_INTERNAL;
  std::string_view text = "an exception of unknown type was thrown in the native library";
  try {
    Status status = read_call(Call(nullptr, operation), from, &block);
    if (status.ok()) status = body(Call(from == nullptr ? nullptr : &block.call, operation), block.error);
    if (!status.ok()) report(block.error, status.code(), status.native_code(), status.message());
    return status.code();
  } catch (const std::bad_alloc&) {
    code = NF_RESOURCE_EXHAUSTED;
    text = "the host has no memory left for this call";
  } catch (const std::length_error&) {  // a vector larger than an address space
    code = NF_RESOURCE_EXHAUSTED;
    text = "this call needs more host memory than a process can address";
  } catch (const std::exception& thrown) {
    text = thrown.what();
    report(block.error, code, 0, text);
    return code;
  } catch (...) {
  }
  report(block.error, code, 0, text);
  return code;
}

}  // namespace nearfield
