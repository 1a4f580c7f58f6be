// SPDX-License-Identifier: Apache-2.0
#include "control.hpp"

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace nearfield::simt {
namespace {

class Faults {
 public:
  int64_t value(const std::string& name, int64_t none) {
    const std::lock_guard<std::mutex> lock(mutex_);
    read();
    const auto found = values_.find(name);
    return found == values_.end() ? none : found->second;
  }

  bool strikes(const std::string& name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    read();
    const auto found = values_.find(name);
    return found != values_.end() && ++counts_[name] == found->second;
  }

 private:
  void read() {
    const char* const now = std::getenv("NEARFIELD_SIMT_FAULT");
    const std::string text = now == nullptr ? "" : now;
    if (text == text_) return;
    text_ = text;
    values_.clear();
    counts_.clear();
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find(',', begin), text.size());
      const std::string item = text.substr(begin, end - begin);
      const size_t sign = item.find('=');
      if (sign != std::string::npos) values_[item.substr(0, sign)] = std::atoll(item.c_str() + sign + 1);
      begin = end + 1;
    }
  }

  std::mutex mutex_;
  std::string text_;
  std::map<std::string, int64_t> values_;
  std::map<std::string, int64_t> counts_;
};

Faults& faults() {
  static Faults* const the = new Faults;
  return *the;
}

}  // namespace

int64_t fault(const char* name, int64_t none) { return faults().value(name, none); }
bool fault_strikes(const char* name) { return faults().strikes(name); }

Options options_of(const char* kernel, const std::vector<void*>& buffers) {
  Options options{.name = kernel};
  // gpu::kMatrix: vectors and queries in tile32.
  if (std::strncmp(kernel, "matrix_m", 8) == 0 && buffers.size() > 3)
    options.padded = {buffers[0], buffers[3]};
  // gpu::kMatrixTf32: vectors, their sides and queries. gpu::kResidual: whole groups of vectors and sides.
  if (std::strncmp(kernel, "matrix_tf32_", 12) == 0 && buffers.size() > 4)
    options.padded = {buffers[0], buffers[1], buffers[4]};
  if (std::strncmp(kernel, "residual_", 9) == 0 && buffers.size() > 1)
    options.padded = {buffers[0], buffers[1]};
  // gpu::kRotate, gpu::kCode: whole groups of vectors, their sides and what was rotated of them.
  if ((std::strncmp(kernel, "rotate_", 7) == 0 || std::strncmp(kernel, "code_", 5) == 0) &&
      buffers.size() > 4)
    options.padded = {buffers[0], buffers[1], buffers[4]};
  const char* const text = std::getenv("NEARFIELD_SIMT_SCHEDULE");
  if (text == nullptr) return options;
  if (std::strcmp(text, "reverse") == 0) options.schedule = Schedule::kReverse;
  if (std::strncmp(text, "random", 6) == 0) {
    options.schedule = Schedule::kRandom;
    if (text[6] == ':') options.seed = std::strtoull(text + 7, nullptr, 10);
  }
  return options;
}

}  // namespace nearfield::simt
