// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <new>

namespace nearfield::cpu {

// Floats that vector loads may be aligned on.
class AlignedFloats {
 public:
  float* get() const { return data_.get(); }
  int64_t size() const { return size_; }
  // At least `size` floats; what was there is lost when it grows.
  void fit(int64_t size) {
    if (size <= size_) return;
    data_.reset();
    size_ = 0;
    data_.reset(static_cast<float*>(::operator new(static_cast<size_t>(size) * sizeof(float), kAlignment)));
    size_ = size;
  }

 private:
  static constexpr std::align_val_t kAlignment{64};  // a cache line, and the widest vector register
  struct Free {
    void operator()(float* data) const { ::operator delete(data, kAlignment); }
  };
  std::unique_ptr<float, Free> data_;
  int64_t size_ = 0;
};

}  // namespace nearfield::cpu
