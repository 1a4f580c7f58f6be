// SPDX-License-Identifier: Apache-2.0
// A backend's library and one context on it.
#pragma once

#include <string>

#include "message.hpp"
#include "nearfield/nearfield.h"

namespace nearfield::bench {

template <typename Struct>
Struct sized() {
  Struct s{};
  s.struct_size = sizeof(s);
  return s;
}

class Call {  // an nf_call with room for the error
 public:
  Call() : error_(sized<nf_error>()), call_(sized<nf_call>()) { call_.error = &error_; }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  nf_call* abi() { return &call_; }
  void check(nf_status status) const;  // throws Refused with the library's own sentence
  const char* message() const { return error_.message; }

 private:
  nf_error error_;
  nf_call call_;
};

class Library {
 public:
  // Throws Refused when the backend is not there, has no device, or does not know the path.
  Library(const std::string& folder, const std::string& backend, const std::string& path, int threads);
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  const nf_api& api() const { return *api_; }
  nf_context* context() const { return context_; }
  const nf_device_info& info() const { return info_; }

 private:
  const nf_api* api_ = nullptr;
  nf_context* context_ = nullptr;
  nf_device_info info_{};
};

}  // namespace nearfield::bench
