// SPDX-License-Identifier: Apache-2.0
// Page-locked memory through which host data travels to the device while the host goes on.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "driver.hpp"

namespace nearfield::cuda {

// A ring of pieces; a piece is written again when the copies out of it have ended. The context is current in
// every method.
class Staging {
 public:
  // One piece holds what a search sends; four let the host fill one while the others travel.
  static constexpr size_t kPieceBytes = size_t{1} << 20;
  static constexpr size_t kPieces = 4;

  Result create(const Symbols& s) {
    void* memory = nullptr;
    Result result = s.cuMemHostAlloc(&memory, kPieceBytes * kPieces, 0);
    memory_ = static_cast<unsigned char*>(memory);
    for (EventHandle& event : left_)
      if (result == kSuccess) result = s.cuEventCreate(&event, kEventNoTiming);
    return result;
  }

  void destroy(const Symbols& s) {
    for (EventHandle& event : left_)
      if (event != nullptr) s.cuEventDestroy_v2(event);
    if (memory_ != nullptr) s.cuMemFreeHost(memory_);
    memory_ = nullptr;
    left_ = {};
  }

  // `wait(event)` returns when the event has happened.
  template <typename Wait>
  Result write(const Symbols& s, StreamHandle stream, DevicePointer to, const void* data, uint64_t bytes,
               const Wait& wait) {
    const auto* from = static_cast<const unsigned char*>(data);
    while (bytes > 0) {
      if (used_ == kPieceBytes) {
        if (const Result result = s.cuEventRecord(left_[piece_], stream); result != kSuccess) return result;
        busy_[piece_] = true;
        piece_ = (piece_ + 1) % kPieces;
        used_ = 0;
        if (busy_[piece_]) {
          if (const Result result = wait(left_[piece_]); result != kSuccess) return result;
          busy_[piece_] = false;
        }
      }
      const auto count = static_cast<size_t>(std::min<uint64_t>(bytes, kPieceBytes - used_));
      unsigned char* at = memory_ + piece_ * kPieceBytes + used_;
      std::memcpy(at, from, count);
      if (const Result result = s.cuMemcpyHtoDAsync_v2(to, at, count, stream); result != kSuccess)
        return result;
      // The next data starts on a 16-byte boundary, as copies like it.
      used_ = std::min(kPieceBytes, (used_ + count + 15) / 16 * 16);
      from += count;
      to += count;
      bytes -= count;
    }
    return kSuccess;
  }

  const void* memory() const { return memory_; }

 private:
  unsigned char* memory_ = nullptr;
  std::array<EventHandle, kPieces> left_{};
  std::array<bool, kPieces> busy_{};
  size_t piece_ = 0, used_ = 0;
};

}  // namespace nearfield::cuda
