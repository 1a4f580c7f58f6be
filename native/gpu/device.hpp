// SPDX-License-Identifier: Apache-2.0
// The Device that every GPU backend hands out: its queue, with this folder's stores on it.
#pragma once

#include <memory>
#include <utility>

#include "context.hpp"

namespace nearfield::gpu {

class GpuDevice final : public Device {
 public:
  explicit GpuDevice(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  Status info(nf_device_info* out) override;
  bool supports(int32_t metric) const override;
  bool supports_codes(int32_t metric) const override;
  bool supports_codes_alone(int32_t metric) const override;
  bool serves_runs(int32_t metric) const override;
  uint64_t estimate(const StoreOptions& options) const override;
  Status create_store(const StoreOptions& options, std::unique_ptr<Store>* out, const Call& call) override;
  Status health() const override { return context_->queue().health(); }

  Context& context() { return *context_; }  // for tests

 private:
  std::shared_ptr<Context> context_;
};

}  // namespace nearfield::gpu
