// SPDX-License-Identifier: Apache-2.0
#include "backend.hpp"

#include <mutex>

#include "cuda_build.hpp"
#include "gpu/device.hpp"
#include "queue.hpp"

namespace nearfield {
namespace cuda {
namespace {

class CudaBackend final : public Backend {
 public:
  const char* name() const override { return "cuda"; }
  const char* build() const override { return NEARFIELD_VERSION " " NEARFIELD_CUDA_CODE; }

  Status device_count(int32_t* count, std::string* why_none) override {
    const Driver& driver = *open();
    *count = static_cast<int32_t>(driver.gpus().size());
    if (why_none != nullptr) *why_none = driver.why_none();
    return {};
  }
  nf_status why_none_status() override { return open()->why_none_status(); }

  Status device_info(int32_t device, nf_device_info* out) override {
    const auto& gpus = open()->gpus();
    if (device < 0 || device >= static_cast<int32_t>(gpus.size()))
      return error(NF_INVALID_ARGUMENT, "device_info: device=%d, cuda has %d", device,
                   static_cast<int32_t>(gpus.size()));
    fill_info(*open(), gpus[static_cast<size_t>(device)], out);
    return {};
  }

  Status create_device(const DeviceOptions& options, std::unique_ptr<Device>* out,
                       const Call& call) override {
    NF_TRY(call.poll());
    const std::shared_ptr<Driver> driver = open();
    const auto& gpus = driver->gpus();
    const auto count = static_cast<int32_t>(gpus.size());
    if (options.device < 0 || options.device >= count)
      return error(NF_INVALID_ARGUMENT, "context_create: device=%d, cuda has %d%s%s", options.device, count,
                   count == 0 ? ": " : "", count == 0 ? driver->why_none().c_str() : "");
    std::unique_ptr<CudaQueue> queue;
    NF_TRY(CudaQueue::create(driver, gpus[static_cast<size_t>(options.device)], &queue));
    std::shared_ptr<gpu::Context> context;
    NF_TRY(gpu::Context::create(std::move(queue), name(), options, &context));
    *out = std::make_unique<gpu::GpuDevice>(std::move(context));
    return {};
  }

 private:
  // Opened at the first question, by any thread; the answer stays.
  std::shared_ptr<Driver> open() {
    std::call_once(once_, [this] { driver_ = Driver::open(); });
    return driver_;
  }

  std::once_flag once_;
  std::shared_ptr<Driver> driver_;
};

}  // namespace
}  // namespace cuda

std::unique_ptr<Backend> make_backend() { return std::make_unique<cuda::CudaBackend>(); }

}  // namespace nearfield
