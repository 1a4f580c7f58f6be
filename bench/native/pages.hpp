// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>

#include <cstdint>

#include "message.hpp"

namespace nearfield::bench {

inline constexpr size_t kHugePage = size_t{2} << 20;

// Anonymous pages, untouched; in huge pages where the system gives them to those who ask.
class Pages {
 public:
  Pages(size_t bytes, bool huge) : bytes_((bytes / kHugePage + 2) * kHugePage) {
    mapped_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped_ == MAP_FAILED) throw Refused(format("pages: %zu bytes cannot be mapped", bytes_));
#if defined(MADV_HUGEPAGE)
    if (huge) ::madvise(mapped_, bytes_, MADV_HUGEPAGE);
#else
    (void)huge;
#endif
  }
  ~Pages() { ::munmap(mapped_, bytes_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  char* data() const {  // on the boundary of a huge page
    return static_cast<char*>(mapped_) + (kHugePage - reinterpret_cast<uintptr_t>(mapped_) % kHugePage);
  }

 private:
  size_t bytes_;
  void* mapped_;
};

}  // namespace nearfield::bench
