// SPDX-License-Identifier: Apache-2.0
// A WGPUDevice with its queue: buffers, errors as statuses, submissions (at most two in flight), read-back.
// Shared by the Device and the Stores of a context, so that it outlives all of them. Not thread-safe: calls
// on a context run one at a time.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "call.hpp"
#include "native.hpp"
#include "status.hpp"

namespace nearfield::wgpu {

class Gpu;

// A device buffer, destroyed with its owner.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Symbols* symbols, WGPUBuffer handle, uint64_t size)
      : symbols_(symbols), handle_(handle), size_(size) {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer moved(std::move(other));
    swap(moved);
    return *this;
  }
  ~Buffer();
  WGPUBuffer handle() const { return handle_; }
  uint64_t size() const { return size_; }
  explicit operator bool() const { return handle_ != nullptr; }

 private:
  void swap(Buffer& other) {
    std::swap(symbols_, other.symbols_);
    std::swap(handle_, other.handle_);
    std::swap(size_, other.size_);
  }
  const Symbols* symbols_ = nullptr;
  WGPUBuffer handle_ = nullptr;
  uint64_t size_ = 0;
};

// What wgpu-native reports through callbacks, which may come on any thread that polls.
struct DeviceErrors {
  std::mutex mutex;
  bool lost = false;
  std::string lost_reason;
  WGPUErrorType type = WGPUErrorType_NoError;  // the first error since the last take()
  std::string message;
};

class Gpu {
 public:
  static Status create(std::shared_ptr<Native> native, const Adapter& adapter, std::shared_ptr<Gpu>* out);
  Gpu(std::shared_ptr<Native> native, const Adapter& adapter)
      : native_(std::move(native)), adapter_(adapter) {}
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const Symbols& symbols() const { return native_->symbols(); }
  const Adapter& adapter() const { return adapter_; }
  const WGPULimits& limits() const { return limits_; }
  WGPUDevice device() const { return device_; }

  Status create_buffer(uint64_t bytes, WGPUBufferUsage usage, const char* what, Buffer* out);
  // Copied at once; ordered before every later submission and after every earlier one. Bytes: a multiple
  // of 4.
  void write(const Buffer& buffer, uint64_t offset, const void* data, uint64_t bytes);

  // The first error since the last call, as a status naming `what`.
  Status take_error(const char* what);
  // NF_DEVICE_LOST once the device is lost.
  Status health() const;
  // Marks the device lost as a driver would; for tests.
  void lose();

  // Hands over finished commands; waits for the oldest submission when two are in flight. `units` of work,
  // for the pacing of the next dispatches. Releases the encoder.
  Status submit(WGPUCommandEncoder encoder, double units, const char* what);
  // Waits for everything in flight.
  void drain();
  // Copies `bytes` of the buffer `from`, mapped for reading, to `to`, once all work is done.
  Status map_read(const Buffer& from, uint64_t bytes, void* to, const char* what);

  // Work, in units, that takes about the dispatch target on this device, by what was measured so far.
  double units_per_dispatch() const { return units_per_ns_ * static_cast<double>(kDispatchTargetNs); }

  static constexpr int64_t kDispatchTargetNs = 10'000'000;

 private:
  using Clock = std::chrono::steady_clock;
  struct Flight {
    WGPUSubmissionIndex index;
    double units;
    Clock::time_point submitted;
  };
  void wait_oldest();

  std::shared_ptr<Native> native_;
  Adapter adapter_;
  WGPULimits limits_{};
  DeviceErrors* errors_ = nullptr;
  WGPUDevice device_ = nullptr;
  WGPUQueue queue_ = nullptr;
  std::deque<Flight> flights_;
  Clock::time_point last_done_{};
  double first_units_per_ns_ = 1, units_per_ns_ = 1;
};

// Whatever happens, nothing of a call is still running when it returns.
class Drain {
 public:
  explicit Drain(Gpu& gpu) : gpu_(gpu) {}
  ~Drain() { gpu_.drain(); }
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;

 private:
  Gpu& gpu_;
};

}  // namespace nearfield::wgpu
