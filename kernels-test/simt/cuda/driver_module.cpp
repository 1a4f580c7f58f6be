// SPDX-License-Identifier: Apache-2.0
// The emulated driver's modules: images, functions, launches.
#include <cstring>
#include <string>
#include <vector>

#include "entry.hpp"
#include "image.hpp"
#include "kernels.hpp"
#include "simt.hpp"
#include "stream.hpp"

namespace simt = nearfield::simt;
using namespace nearfield::cuda;
using simt::cuda::broken;
using simt::cuda::Device;
using simt::cuda::range;

namespace nearfield::cuda {
struct ModuleTag {};
}  // namespace nearfield::cuda

namespace {

FunctionHandle handle_of(const simt::cuda::Kernel* kernel) {
  return reinterpret_cast<FunctionHandle>(const_cast<simt::cuda::Kernel*>(kernel));
}

const simt::cuda::Kernel* kernel_of(FunctionHandle function) {
  return reinterpret_cast<const simt::cuda::Kernel*>(function);
}

// The arguments of a launch, copied when it is enqueued, as the driver does; tensor maps are aligned to 64.
struct alignas(64) Line {
  unsigned char bytes[64];
};
struct Launch {
  const simt::cuda::Kernel* kernel;
  simt::Dim3 grid, block;
  size_t shared_bytes;
  std::vector<std::vector<Line>> arguments;

  Result operator()() {
    if (simt::fault_strikes("hang")) return kNotReady;
    if (simt::fault_strikes("lost"))
      return broken(std::string(kernel->name) + ": a test asked for the loss of the device");
    std::vector<void*> addresses, buffers;
    for (size_t i = 0; i < arguments.size(); ++i) {
      addresses.push_back(arguments[i].data());
      void* p = nullptr;
      if (!kernel->pointers[i]) continue;
      std::memcpy(&p, arguments[i].data(), sizeof(p));
      if (!simt::allocated(p, 1))
        return broken(std::string(kernel->name) + ": argument " + std::to_string(i) +
                      " is no device memory: " + range(p, 1));
      buffers.push_back(p);
    }
    try {
      simt::Options options = simt::options_of(kernel->name, buffers);
      options.dynamic_shared = shared_bytes;
      options.shared_limit = Device::get().shared_limit(kernel);
      simt::launch(
          grid, block, [&] { kernel->run(addresses.data()); }, options);
    } catch (const simt::Error& e) {
      return broken(e.what());
    }
    return kSuccess;
  }
};

}  // namespace

extern "C" {

NF_EXPORT Result cuModuleLoadData(ModuleHandle* module, const void* image) {
  NF_USABLE();
  if (simt::fault("no-code", 0) != 0) return kNoBinary;
  const Result answer = simt::cuda::takes(image, static_cast<int>(simt::fault("capability", 90)),
                                          static_cast<int>(simt::fault("driver", 13000)));
  if (answer != kSuccess) return answer;
  *module = new ModuleTag;
  return kSuccess;
}

NF_EXPORT Result cuModuleUnload(ModuleHandle module) {
  delete module;
  return kSuccess;
}

NF_EXPORT Result cuModuleGetFunction(FunctionHandle* function, ModuleHandle, const char* name) {
  NF_USABLE();
  const simt::cuda::Kernel* const kernel = simt::cuda::find_kernel(name);
  if (kernel == nullptr) return simt::cuda::kNotFound;
  *function = handle_of(kernel);
  return kSuccess;
}

NF_EXPORT Result cuFuncGetAttribute(int* value, int attribute, FunctionHandle) {
  NF_USABLE();
  *value = 0;  // what a kernel declares is known when it runs
  return attribute == kDeclaredSharedBytes ? kSuccess : simt::cuda::kInvalidValue;
}

NF_EXPORT Result cuFuncSetAttribute(FunctionHandle function, int attribute, int value) {
  NF_USABLE();
  if (function == nullptr) return simt::cuda::kInvalidHandle;
  const auto capability = static_cast<int>(simt::fault("capability", 90));
  if (attribute == kCarveout) return value >= 0 && value <= 100 ? kSuccess : simt::cuda::kInvalidValue;
  if (attribute != kMostGivenBytes || value < 0 ||
      static_cast<size_t>(value) > simt::cuda::shared_of(capability).of_block)
    return simt::cuda::kInvalidValue;
  Device::get().allow(kernel_of(function), static_cast<size_t>(value));
  return kSuccess;
}

NF_EXPORT Result cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, FunctionHandle function, int,
                                                             size_t given_bytes) {
  NF_USABLE();
  const auto shared = simt::cuda::shared_of(static_cast<int>(simt::fault("capability", 90)));
  *blocks = static_cast<int>(shared.of_multiprocessor / (given_bytes + shared.reserved + 1));
  return function != nullptr ? kSuccess : simt::cuda::kInvalidHandle;
}

NF_EXPORT Result cuLaunchKernel(FunctionHandle function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                                StreamHandle stream, void** arguments, void** extra) {
  NF_USABLE();
  const simt::Dim3 grid{grid_x, grid_y, grid_z}, block{block_x, block_y, block_z};
  if (function == nullptr || stream == nullptr) return simt::cuda::kInvalidHandle;
  if (grid.count() == 0 || block.count() == 0 || block.count() > 1024 || extra != nullptr ||
      grid_y > 65'535 || grid_z > 65'535)
    return simt::cuda::kInvalidValue;
  if (simt::fault_strikes("launch")) return simt::cuda::kLaunchOutOfResources;
  const auto* const kernel = kernel_of(function);
  if (shared_bytes > Device::get().allowed(kernel)) return simt::cuda::kInvalidValue;
  Launch launch{kernel, grid, block, shared_bytes, {}};
  for (size_t i = 0; i < kernel->sizes.size(); ++i) {
    std::vector<Line>& copy = launch.arguments.emplace_back((kernel->sizes[i] + 63) / 64);
    std::memcpy(copy.data(), arguments[i], kernel->sizes[i]);
  }
  stream->push(std::move(launch));
  return kSuccess;
}

}  // extern "C"
