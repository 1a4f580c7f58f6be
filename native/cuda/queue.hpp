// SPDX-License-Identifier: Apache-2.0
// gpu::Queue over one stream of a GPU's primary context.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "gpu/pace.hpp"
#include "gpu/queue.hpp"
#include "kernels/tensor_map.h"
#include "module.hpp"
#include "staging.hpp"

namespace nearfield::cuda {

void fill_info(const Driver& driver, const Gpu& gpu, nf_device_info* out);

class CudaQueue final : public gpu::Queue {
 public:
  static Status create(std::shared_ptr<Driver> driver, const Gpu& gpu, std::unique_ptr<CudaQueue>* out);
  CudaQueue(std::shared_ptr<Driver> driver, const Gpu& gpu);
  ~CudaQueue() override;
  CudaQueue(const CudaQueue&) = delete;
  CudaQueue& operator=(const CudaQueue&) = delete;

  const gpu::Limits& limits() const override { return limits_; }
  gpu::FlatShape flat_shape(int64_t batch, int32_t k) const override;
  gpu::MatrixShape matrix_shape(int32_t metric, int32_t dim, int64_t batch, int32_t k) const override;
  gpu::CodedProductShape coded_product_shape(int32_t metric, int32_t dim, int64_t batch,
                                             int32_t k) const override;
  gpu::CodedProductShape tf32_shape(int32_t k, bool by_warps) const override;
  void info(nf_device_info* out) const override;
  Status health() const override;
  Status take_error(const char* what) override;
  Status allocate(uint64_t bytes, gpu::Use use, const char* what, gpu::Buffer* out) override;
  void write(const gpu::Buffer& to, uint64_t offset, const void* data, uint64_t bytes) override;
  Status dispatch(const gpu::Dispatch& dispatch) override;
  void copy(const gpu::Buffer& from, uint64_t from_offset, const gpu::Buffer& to, uint64_t to_offset,
            uint64_t bytes) override;
  Status submit(double units, const char* what) override;
  void discard() override;
  void drain() override;
  Status read(const gpu::Buffer& from, uint64_t bytes, void* to, const char* what) override;
  double units_per_dispatch() const override { return pace_.units_per_dispatch(); }

  // Gives memory back: to the pool in stream order, when everything enqueued so far has used it.
  void release(DevicePointer device, void* host, uint64_t bytes);

 private:
  static constexpr size_t kMostBuffers = 12, kMaps = 2;
  // A launch or a copy that waits for submit().
  struct Command {
    const Function* function = nullptr;  // NULL: a copy of `bytes` from addresses[0] to addresses[1]
    gpu::Grid grid{};
    alignas(16) unsigned char params[160] = {};
    DevicePointer addresses[kMostBuffers] = {};
    size_t buffers = 0;
    TensorMap maps[kMaps] = {};  // after the parameters, of kMatrixTf32Wgmma: rows, queries
    bool has_maps = false;
    uint64_t bytes = 0;
    void* host = nullptr;  // the copy's target, when it is not addresses[1]
  };
  struct Flight {
    EventHandle event;
    double units;
    gpu::Pace::Clock::time_point submitted;
  };

  Status start();
  Result enqueue(const Command& command);
  // Keeps the first error for take_error(), and the loss of the device for ever.
  void fail(Result result, const char* call);
  // kNotReady, and the device counts as lost: it was silent for too long.
  Result wait(EventHandle event);
  void wait_oldest();
  Result mark(double units);
  // Lets the pool give back what it does not use but `kept` bytes; false where it cannot.
  bool trim(uint64_t kept);

  const Symbols& symbols() const { return driver_->symbols(); }

  std::shared_ptr<Driver> driver_;
  Gpu gpu_;
  gpu::Limits limits_;
  gpu::Pace pace_;
  ContextHandle context_ = nullptr;
  StreamHandle stream_ = nullptr;
  PoolHandle pool_ = nullptr;
  Module module_;
  Staging staging_;

  std::vector<Command> gathered_;
  bool measurable_ = true;  // no function of what is gathered is used for the first time
  bool unmarked_ = false;   // something was enqueued after the last event
  uint64_t freed_ = 0;      // bytes that went to the pool since it was trimmed
  std::deque<Flight> flights_;
  std::vector<EventHandle> spare_;  // events of flights that ended
  Result error_ = kSuccess;
  const char* error_call_ = "";
  std::string lost_;  // why the device is lost; "" while it is not
  // It may still write, so that nothing it was given is freed; and calls that wait for it would not return.
  bool hung_ = false;
};

}  // namespace nearfield::cuda
