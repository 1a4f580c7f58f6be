// SPDX-License-Identifier: Apache-2.0
// gpu::Queue over a WGPUDevice: buffers, errors as statuses, submissions (at most two in flight), read-back.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "callbacks.hpp"
#include "gpu/pace.hpp"
#include "gpu/queue.hpp"
#include "native.hpp"
#include "pipelines.hpp"
#include "tuning.hpp"

namespace nearfield::wgpu {

void fill_info(const Adapter& adapter, nf_device_info* out);

// What kernels use where it is there; they do without it too.
struct KernelOptions {
  bool subgroups = true, packed_dots = true;
};

class WebGpuQueue final : public gpu::Queue {
 public:
  static Status create(std::shared_ptr<Native> native, const Adapter& adapter, const KernelOptions& kernels,
                       std::unique_ptr<WebGpuQueue>* out);
  WebGpuQueue(std::shared_ptr<Native> native, const Adapter& adapter);
  ~WebGpuQueue() override;
  WebGpuQueue(const WebGpuQueue&) = delete;
  WebGpuQueue& operator=(const WebGpuQueue&) = delete;

  const gpu::Limits& limits() const override { return limits_; }
  gpu::FlatShape flat_shape(int64_t batch, int32_t k) const override;
  gpu::MatrixShape matrix_shape(int32_t, int32_t, int64_t, int32_t) const override { return {}; }
  gpu::CodedProductShape coded_product_shape(int32_t metric, int32_t dim, int64_t batch,
                                             int32_t k) const override;
  void info(nf_device_info* out) const override { fill_info(adapter_, out); }
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

  const Symbols& symbols() const { return native_->symbols(); }
  bool subgroups() const { return subgroups_; }
  bool packed_dots() const { return packed_dots_; }
  WGPUDevice device() const { return device_; }
  Pipelines& pipelines() { return pipelines_; }
  // Marks the device lost as a driver would; for tests.
  void lose();

 private:
  struct Flight {
    std::shared_ptr<const std::atomic<bool>> ended;
    double units;
    gpu::Pace::Clock::time_point submitted;
  };
  void end_pass();
  void wait_oldest();
  // Until `ended`, which a callback of wgpu-native sets; the device counts as lost when it is silent for too
  // long.
  void wait_for(const std::atomic<bool>& ended);

  std::shared_ptr<Native> native_;
  Adapter adapter_;
  WGPULimits device_limits_{};
  gpu::Limits limits_;
  Tuning tuning_;
  bool subgroups_ = false, packed_dots_ = false;
  gpu::Pace pace_;
  DeviceErrors* errors_ = nullptr;
  WGPUDevice device_ = nullptr;
  WGPUQueue queue_ = nullptr;
  Pipelines pipelines_{*this};
  gpu::Buffer params_;  // a slot for each dispatch of a submission

  // What is gathered for the next submission.
  WGPUCommandEncoder encoder_ = nullptr;
  WGPUComputePassEncoder pass_ = nullptr;
  std::vector<uint8_t> slots_;
  bool measurable_ = true;  // no pipeline of these commands is used for the first time

  std::deque<Flight> flights_;
};

}  // namespace nearfield::wgpu
