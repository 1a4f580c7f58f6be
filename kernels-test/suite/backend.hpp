// SPDX-License-Identifier: Apache-2.0
// A backend under test: one column of the matrix. Opened by dlopen, reached through nf_api only.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "nearfield/nearfield.h"

namespace nearfield::test {

// What a call answered.
struct Answer {
  nf_status code = NF_OK;
  std::string message;
};

// An nf_call with room for the error; answer() throws when a failed call did not describe it.
class CallBlock {
 public:
  CallBlock();
  nf_call* abi() { return &call_; }
  nf_call& fields() { return call_; }
  Answer answer(nf_status status) const;

 private:
  nf_error error_;
  nf_call call_;
};

// ok() throws unless the call succeeded, fails() unless it failed as wanted.
void ok(const Answer& answer, const char* what);
void fails(const Answer& answer, nf_status wanted, const char* what);

// What a context is made with; 0 and "" are the defaults.
struct ContextOptions {
  int32_t threads = 0;
  uint64_t slab_bytes = 0;
  uint64_t max_binding_bytes = 0;
  uint64_t memory_limit = 0;
  uint64_t workspace_limit = 0;
  std::string path = {};
  auto operator<=>(const ContextOptions&) const = default;
};

class Backend {
 public:
  // `row` is a name of default_rows() or a library's, `path` forces a path in every context that does not ask
  // for another, `checked`: see emulated_dir().
  Backend(const std::string& row, const std::string& library_dir, const std::string& path,
          bool checked = false);
  ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  const std::string& row() const { return row_; }
  bool present() const { return absent_.empty(); }
  const std::string& absent() const { return absent_; }  // why
  const nf_api& api() const { return *api_; }
  const nf_device_info& info() const { return info_; }
  // An emulated GPU, or one in software: seconds for what the CPU does in milliseconds.
  bool is_slow() const { return row_.rfind("cpu", 0) != 0 && (info_.emulated != 0 || info_.software != 0); }

  // Kept until the backend closes. Throws Failure when it cannot be made.
  nf_context* context(const ContextOptions& options = {});
  Answer try_context(const ContextOptions& options, nf_context** out);
  bool supports(int32_t op, int32_t metric);
  // Names that force_path takes, as the library itself lists them when asked for one that does not exist.
  // None when one is forced already.
  const std::vector<std::string>& paths();

 private:
  std::string row_;
  std::string path_;
  std::string absent_;
  void* library_ = nullptr;
  const nf_api* api_ = nullptr;
  int32_t device_ = 0;
  nf_device_info info_{};
  bool paths_known_ = false;
  std::vector<std::string> paths_;
  std::map<ContextOptions, nf_context*> contexts_;
};

// "cpu", "wgpu", "wgpu+lavapipe", ...: the rows that run when none are named.
std::vector<std::string> default_rows();
// Whether a row is one of the emulator's GPUs.
bool is_emulated(const std::string& row);
// Whether a row runs in a process of its own (row_process.hpp): one whose library is to find the emulated
// driver, or Dawn.
bool has_own_process(const std::string& row);
// What is set in that process's environment.
std::vector<std::pair<std::string, std::string>> environment_of(const std::string& row,
                                                                const std::string& library_dir, bool checked);
// The folder of the emulated libraries that belong to those of `library_dir`.
std::string emulated_dir(const std::string& library_dir, bool checked);

}  // namespace nearfield::test
