// SPDX-License-Identifier: Apache-2.0
#include "device.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace nearfield::simt::cuda {
namespace {

thread_local int current_contexts = 0;

}  // namespace

Shared shared_of(int capability) {
  constexpr size_t kKiB = 1024;
  switch (capability) {
    case 80:
    case 87:
      return {163 * kKiB, 164 * kKiB, kKiB};
    case 86:
    case 89:
    case 120:
      return {99 * kKiB, 100 * kKiB, kKiB};
    case 90:
    case 100:
      return {227 * kKiB, 228 * kKiB, kKiB};
    default:  // 7.5 and older
      return {64 * kKiB, 64 * kKiB, 0};
  }
}

void push_context() { ++current_contexts; }
bool pop_context() { return current_contexts > 0 && current_contexts-- > 0; }

// Never destroyed: the library stays loaded until the process ends.
Device& Device::get() {
  static Device* const the = new Device;
  return *the;
}

Result Device::usable() {
  if (current_contexts == 0) return kInvalidContext;
  const std::lock_guard<std::mutex> lock(mutex_);
  return references_ > 0 ? lost_ : kInvalidContext;
}

bool Device::change_references(int by) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (references_ + by < 0) return false;
  references_ += by;
  if (references_ == 0) lost_ = nearfield::cuda::kSuccess;  // the next context is a new one
  return true;
}

void Device::lose(Result result, const std::string& why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (lost_ != nearfield::cuda::kSuccess) return;
  lost_ = result;
  why_lost_ = why;
}

const char* Device::why_lost(Result result) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return lost_ == result && result != nearfield::cuda::kSuccess ? why_lost_.c_str() : nullptr;
}

void* Device::allocate(size_t bytes) {
  if (bytes == 0 || fault_strikes("allocation") || allocated_bytes() + bytes > total_bytes()) return nullptr;
  return simt::allocate(bytes);
}

void Device::allow(const Kernel* kernel, size_t given_bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  allowed_[kernel] = given_bytes;
}

size_t Device::allowed(const Kernel* kernel) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = allowed_.find(kernel);
  return found == allowed_.end() ? kDeclaredShared : found->second;
}

size_t Device::shared_limit(const Kernel* kernel) {
  return allowed(kernel) > kDeclaredShared ? shared_of(static_cast<int>(fault("capability", 90))).of_block
                                           : kDeclaredShared;
}

void* Device::lock_host(size_t bytes) {
  auto* const memory = static_cast<char*>(std::malloc(bytes));
  if (memory == nullptr) return nullptr;
  std::memset(memory, 0xff, bytes);  // not zeros, which a result that never came would resemble
  const std::lock_guard<std::mutex> lock(mutex_);
  locked_[memory] = bytes;
  return memory;
}

bool Device::unlock_host(void* memory) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (locked_.erase(static_cast<char*>(memory)) == 0) return false;
  std::free(memory);
  return true;
}

bool Device::is_locked(const void* memory, size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto next = locked_.upper_bound(static_cast<char*>(const_cast<void*>(memory)));
  if (next == locked_.begin()) return false;
  --next;
  const auto offset = static_cast<size_t>(static_cast<const char*>(memory) - next->first);
  return offset <= next->second && bytes <= next->second - offset;
}

}  // namespace nearfield::simt::cuda
