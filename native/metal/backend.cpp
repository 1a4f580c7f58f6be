// SPDX-License-Identifier: Apache-2.0
#include "backend.hpp"

#include <mutex>

#include "gpu/device.hpp"
#include "queue.hpp"

namespace nearfield {
namespace metal {
namespace {

class MetalBackend final : public Backend {
 public:
  const char* name() const override { return "metal"; }
  const char* build() const override { return NEARFIELD_VERSION " MSL"; }

  Status device_count(int32_t* count, std::string* why_none) override {
    open();
    *count = static_cast<int32_t>(adapters_.size());
    if (why_none != nullptr) *why_none = why_none_;
    return {};
  }

  Status device_info(int32_t device, nf_device_info* out) override {
    open();
    if (device < 0 || device >= static_cast<int32_t>(adapters_.size()))
      return error(NF_INVALID_ARGUMENT, "device_info: device=%d, metal has %d", device,
                   static_cast<int32_t>(adapters_.size()));
    fill_info(adapters_[static_cast<size_t>(device)], out);
    return {};
  }

  Status create_device(const DeviceOptions& options, std::unique_ptr<nearfield::Device>* out,
                       const Call& call) override {
    NF_TRY(call.poll());
    open();
    const auto count = static_cast<int32_t>(adapters_.size());
    if (options.device < 0 || options.device >= count)
      return error(NF_INVALID_ARGUMENT, "context_create: device=%d, metal has %d%s%s", options.device, count,
                   count == 0 ? ": " : "", count == 0 ? why_none_.c_str() : "");
    std::unique_ptr<Device> device;
    NF_TRY(open_device(options.device, "context_create", &device));
    std::shared_ptr<gpu::Context> context;
    NF_TRY(gpu::Context::create(std::make_unique<MetalQueue>(std::move(device)), name(), options, &context));
    *out = std::make_unique<gpu::GpuDevice>(std::move(context));
    return {};
  }

 private:
  // Asked at the first question, by any thread; the answer stays.
  void open() {
    std::call_once(once_, [this] { adapters_ = adapters(&why_none_); });
  }

  std::once_flag once_;
  std::vector<Adapter> adapters_;
  std::string why_none_;
};

}  // namespace
}  // namespace metal

std::unique_ptr<Backend> make_backend() { return std::make_unique<metal::MetalBackend>(); }

}  // namespace nearfield
