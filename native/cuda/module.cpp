// SPDX-License-Identifier: Apache-2.0
#include "module.hpp"

#include <algorithm>
#include <cstring>

#include "cuda_build.hpp"
#include "kernels/shapes.h"
#include "shapes.hpp"

namespace nearfield::cuda {

std::string entry_name(const gpu::Kernel& kernel, const gpu::Variant& variant) {
  // `merge` has a list of its own: one for k up to 1024, one beyond.
  const uint32_t capacity = std::strcmp(kernel.name, gpu::kMerge.name) != 0 ? variant.list_capacity
                            : variant.list_capacity <= 2048                 ? 2048
                                                                            : 4096;
  return std::string(kernel.name) + "_m" + std::to_string(variant.metric) + "_q" +
         std::to_string(variant.query_block) + "_c" + std::to_string(capacity);
}

uint32_t block_threads(const gpu::Kernel& kernel, const gpu::Variant& variant) {
  const auto is = [&](const gpu::Kernel& other) { return std::strcmp(kernel.name, other.name) == 0; };
  if (is(gpu::kFlat) || is(gpu::kHistogram) || is(gpu::kCollect) || is(gpu::kRescore) || is(gpu::kLevels) ||
      is(gpu::kPrune))
    return kScanThreads;
  if (is(gpu::kMatrix)) return variant.query_block == 128 ? kMatrixThreads<128> : kMatrixThreads<32>;
  if (is(gpu::kCodedProduct)) return variant.query_block == 128 ? kProductThreads<128> : kProductThreads<64>;
  if (is(gpu::kMatrixTf32)) return kTf32Threads;
  if (is(gpu::kMatrixTf32Wgmma)) return kWgmmaThreads;
  if (is(gpu::kMerge)) return kMergeThreads;
  if (is(gpu::kScore) || is(gpu::kMove) || is(gpu::kRotate) || is(gpu::kCode) || is(gpu::kDecode) ||
      is(gpu::kTransfer) || is(gpu::kResidual))
    return kLaneThreads;
  return 0;
}

namespace {

// The shared memory of the blocks that a multiprocessor can hold, and no more: the rest is L1, which holds
// the queries. A driver that refuses costs speed only.
void set_carveout(const Symbols& s, const Gpu& gpu, const Function& function) {
  int declared = 0, blocks = 0;
  if (s.cuFuncGetAttribute(&declared, kDeclaredSharedBytes, function.handle) != kSuccess ||
      s.cuOccupancyMaxActiveBlocksPerMultiprocessor(
          &blocks, function.handle, static_cast<int>(function.threads), function.given_bytes) != kSuccess)
    return;
  const uint64_t bytes = static_cast<uint64_t>(declared) + function.given_bytes;
  if (bytes == 0 || blocks <= 0) return;
  const uint64_t all = static_cast<uint64_t>(blocks) * (bytes + gpu.shared_reserved);
  const uint64_t share = std::min<uint64_t>(
      100, (100 * all + gpu.shared_of_multiprocessor - 1) / std::max(1u, gpu.shared_of_multiprocessor));
  static_cast<void>(s.cuFuncSetAttribute(function.handle, kCarveout, static_cast<int>(share)));
}

// No binary for the device, or PTX that this driver cannot compile.
bool has_no_code(Result result) {
  switch (result) {
    case 200:  // invalid image
    case 209:  // no binary for the GPU
    case 218:  // invalid PTX
    case 221:  // the compiler of PTX was not found
    case 222:  // PTX of a later version
    case 223:  // compilation of PTX is disabled
      return true;
    default:
      return false;
  }
}

}  // namespace

Status Module::load(const Driver& driver, const Gpu& gpu) {
  const Symbols& s = driver.symbols();
  const char* call = "";
  Result result = kNoBinary;
  // A driver may refuse machine code that it should take, and compile the PTX.
  for (const Image& image : gpu.images) {
    call = "cuModuleLoadData";
    result = s.cuModuleLoadData(&handle_, data_of(image));
    if (result == kSuccess) {
      // Drivers that load lazily find out only here that they have no code for this device.
      call = "cuModuleGetFunction";
      FunctionHandle first = nullptr;
      result = s.cuModuleGetFunction(&first, handle_, entry_name(gpu::kMove, {}).c_str());
      if (result != kSuccess) unload(driver);
    }
    image_ = &image;
    if (!has_no_code(result)) break;
  }
  if (!has_no_code(result)) return driver.status(result, "context_create", call);
  return Status(
      NF_UNAVAILABLE,
      error(NF_UNAVAILABLE,
            "context_create: the driver of %s, %s, has no use for the code for compute capability %s "
            "in this library (%s): %s",
            gpu.name.c_str(), driver.text().c_str(), capability_text(gpu.capability).c_str(),
            NEARFIELD_CUDA_CODE, driver.describe(result).c_str())
          .message(),
      result);
}

void Module::unload(const Driver& driver) {
  if (handle_ != nullptr) driver.symbols().cuModuleUnload(handle_);
  handle_ = nullptr;
  functions_.clear();
}

Status Module::get(const Driver& driver, const Gpu& gpu, const gpu::Kernel& kernel,
                   const gpu::Variant& variant, const Function** out) {
  const std::string name = entry_name(kernel, variant);
  auto found = functions_.find(name);
  if (found == functions_.end()) {
    Function function;
    function.threads = block_threads(kernel, variant);
    NF_TRY(driver.status(driver.symbols().cuModuleGetFunction(&function.handle, handle_, name.c_str()),
                         name.c_str(), "cuModuleGetFunction"));
    function.given_bytes = given_bytes(kernel, variant);
    if (function.given_bytes != 0)
      NF_TRY(driver.status(driver.symbols().cuFuncSetAttribute(function.handle, kMostGivenBytes,
                                                               static_cast<int>(function.given_bytes)),
                           name.c_str(), "cuFuncSetAttribute"));
    set_carveout(driver.symbols(), gpu, function);
    found = functions_.emplace(name, function).first;
  }
  *out = &found->second;
  return {};
}

}  // namespace nearfield::cuda
