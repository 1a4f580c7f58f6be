// SPDX-License-Identifier: Apache-2.0
// gpu::Queue over a metal::Device: what is in flight, staging, errors as statuses, pipelines.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "device.hpp"
#include "gpu/pace.hpp"
#include "gpu/queue.hpp"

namespace nearfield::metal {

void fill_info(const Adapter& adapter, nf_device_info* out);

class MetalQueue final : public gpu::Queue {
 public:
  explicit MetalQueue(std::unique_ptr<Device> device);
  ~MetalQueue() override;
  MetalQueue(const MetalQueue&) = delete;
  MetalQueue& operator=(const MetalQueue&) = delete;

  const gpu::Limits& limits() const override { return limits_; }
  gpu::FlatShape flat_shape(int64_t batch, int32_t k) const override;
  gpu::MatrixShape matrix_shape(int32_t metric, int32_t dim, int64_t batch, int32_t k) const override;
  gpu::CodedProductShape coded_product_shape(int32_t metric, int32_t dim, int64_t batch,
                                             int32_t k) const override;
  void info(nf_device_info* out) const override { fill_info(device_->adapter(), out); }
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

 private:
  struct Compiled {
    std::unique_ptr<Pipeline> pipeline;
    bool used = false;  // the driver finishes a pipeline at its first dispatch
  };
  struct Submission {
    std::unique_ptr<Commands> writes;            // before the others
    std::vector<std::unique_ptr<Block>> staged;  // what they read
    std::unique_ptr<Commands> commands;
    bool measurable = true;  // no pipeline of it is used for the first time
    double units = 0;
    gpu::Pace::Clock::time_point submitted{};
  };
  // Begins `commands` where there are none. False, with the fault noted: no memory.
  bool begin(std::unique_ptr<Commands>* commands);
  void commit(double units);
  Status pipeline_for(const gpu::Kernel& kernel, const gpu::Variant& variant, Compiled** out);
  void note(Fault fault, const std::string& reason);
  void wait_oldest();

  std::unique_ptr<Device> device_;
  gpu::Limits limits_;
  gpu::Pace pace_;
  std::map<std::string, Compiled> pipelines_;
  Submission gathered_;
  std::deque<Submission> flights_;
  Fault fault_ = Fault::kNone;  // the first since take_error(); kLost stays
  std::string reason_;
};

}  // namespace nearfield::metal
