// SPDX-License-Identifier: Apache-2.0
// Zeroed, 64-byte aligned memory of a slab. Large blocks come from the system by the page: huge pages where
// offered, and pages never touched stay uncommitted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace nearfield::cpu {

class Pages {
 public:
  static constexpr int64_t kHugePage = int64_t{2} << 20;  // x86-64, and arm64 with 4 KiB pages

  Pages() = default;
  // Check data(): NULL when the system has no more.
  explicit Pages(size_t bytes);
  Pages(Pages&& other) noexcept { *this = std::move(other); }
  Pages& operator=(Pages&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(mapped_, other.mapped_);
    return *this;
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages();

  void* data() const { return data_; }
  // Meets the memory of [from, from + bytes) before anybody needs it; answers its end, and the block's once
  // all of it is met. Only before the first write.
  size_t touch(size_t from, size_t bytes);
  size_t size() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
  bool mapped_ = false;
};

}  // namespace nearfield::cpu
