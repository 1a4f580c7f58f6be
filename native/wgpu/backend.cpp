// SPDX-License-Identifier: Apache-2.0
#include "backend.hpp"

#include <mutex>

#include "gpu/device.hpp"
#include "queue.hpp"

namespace nearfield {
namespace wgpu {
namespace {

class WgpuBackend final : public Backend {
 public:
  const char* name() const override { return "wgpu"; }
  const char* build() const override { return NEARFIELD_VERSION " WGSL"; }

  Status device_count(int32_t* count, std::string* why_none) override {
    const Native& native = *open();
    *count = static_cast<int32_t>(native.adapters().size());
    if (why_none != nullptr) *why_none = native.why_none();
    return {};
  }

  Status device_info(int32_t device, nf_device_info* out) override {
    const auto& adapters = open()->adapters();
    if (device < 0 || device >= static_cast<int32_t>(adapters.size()))
      return error(NF_INVALID_ARGUMENT, "device_info: device=%d, wgpu has %d", device,
                   static_cast<int32_t>(adapters.size()));
    fill_info(adapters[static_cast<size_t>(device)], out);
    return {};
  }

  Status create_device(const DeviceOptions& options, std::unique_ptr<Device>* out,
                       const Call& call) override {
    NF_TRY(call.poll());
    const std::shared_ptr<Native> native = open();
    const auto& adapters = native->adapters();
    const auto count = static_cast<int32_t>(adapters.size());
    if (options.device < 0 || options.device >= count)
      return error(NF_INVALID_ARGUMENT, "context_create: device=%d, wgpu has %d%s%s", options.device, count,
                   count == 0 ? ": " : "", count == 0 ? native->why_none().c_str() : "");
    std::unique_ptr<WebGpuQueue> queue;
    const Adapter& adapter = adapters[static_cast<size_t>(options.device)];
    const KernelOptions kernels{options.force_path != "no-subgroups", options.force_path != "codes-unpacked"};
    NF_TRY(WebGpuQueue::create(native, adapter, kernels, &queue));
    std::shared_ptr<gpu::Context> context;
    NF_TRY(gpu::Context::create(std::move(queue), name(), options, &context));
    *out = std::make_unique<gpu::GpuDevice>(std::move(context));
    return {};
  }

 private:
  // Opened at the first question, by any thread; the answer stays.
  std::shared_ptr<Native> open() {
    std::call_once(once_, [this] { native_ = Native::open(); });
    return native_;
  }

  std::once_flag once_;
  std::shared_ptr<Native> native_;
};

}  // namespace
}  // namespace wgpu

std::unique_ptr<Backend> make_backend() { return std::make_unique<wgpu::WgpuBackend>(); }

}  // namespace nearfield
