// SPDX-License-Identifier: Apache-2.0
#include "pages.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "tile32.hpp"
#if !defined(_WIN32)
#include <sys/mman.h>
#endif

namespace nearfield::cpu {

namespace {
constexpr size_t kAlignment = 64;  // a cache line, and the widest vector register
#if !defined(_WIN32)
constexpr size_t kHugeBytes = Pages::kHugePage;
constexpr int64_t kPage = int64_t{64} << 10;  // the largest base page in use (arm64)
// Below this, a block is not worth mappings of its own (a process has 65,530 of them on Linux by default).
constexpr size_t kMapFrom = size_t{256} << 10;
#endif
}  // namespace

Pages::Pages(size_t bytes) : bytes_(bytes) {
#if !defined(_WIN32)
  if (bytes >= kMapFrom) {
    // One huge page more than asked, so that the block can start on the boundary of one; the rest goes back.
    const size_t slack = bytes >= kHugeBytes ? kHugeBytes : 0;
    bytes_ = static_cast<size_t>(round_up(static_cast<int64_t>(bytes), kPage));
    void* mapped =
        ::mmap(nullptr, bytes_ + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return;
    auto* start = static_cast<char*>(mapped);
    if (slack != 0) {
      const size_t before = (kHugeBytes - reinterpret_cast<uintptr_t>(start) % kHugeBytes) % kHugeBytes;
      if (before != 0) ::munmap(start, before);
      start += before;
      if (slack != before) ::munmap(start + bytes_, slack - before);
#if defined(MADV_HUGEPAGE)
      ::madvise(start, bytes_, MADV_HUGEPAGE);  // advice: a refusal costs speed only
#endif
    }
    data_ = start;
    mapped_ = true;
    return;
  }
#endif
  data_ = ::operator new (bytes, std::align_val_t{kAlignment}, std::nothrow);
  if (data_ != nullptr) std::memset(data_, 0, bytes);
}

size_t Pages::touch(size_t from, size_t bytes) {
  constexpr size_t kSmallest = 4096;  // bytes of a page
  const size_t end = std::min(from + bytes, bytes_);
  for (size_t at = from; at < end; at += kSmallest) static_cast<volatile char*>(data_)[at] = 0;
  return end;
}

Pages::~Pages() {
  if (data_ == nullptr) return;
#if !defined(_WIN32)
  if (mapped_) {
    ::munmap(data_, bytes_);
    return;
  }
#endif
  ::operator delete (data_, std::align_val_t{kAlignment});
}

}  // namespace nearfield::cpu
