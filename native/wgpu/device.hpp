// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "context.hpp"

namespace nearfield::wgpu {

class WgpuDevice final : public Device {
 public:
  explicit WgpuDevice(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  Status info(nf_device_info* out) override;
  bool supports(int32_t metric) const override;
  uint64_t estimate(const StoreOptions& options) const override;
  Status create_store(const StoreOptions& options, std::unique_ptr<Store>* out, const Call& call) override;
  Status health() const override { return context_->gpu().health(); }

  Context& context() { return *context_; }  // for tests

 private:
  std::shared_ptr<Context> context_;
};

void fill_info(const Adapter& adapter, nf_device_info* out);

}  // namespace nearfield::wgpu
