// SPDX-License-Identifier: Apache-2.0
#include "pipeline.hpp"

#include <cstdio>

#include "kernel_text.hpp"

namespace nearfield::metal {
namespace {

// The simdgroups that the kernels count on.
constexpr NS::UInteger kSimdWidth = 32;

// mathMode and MSL 3.2 came with macOS 15.
bool has_math_mode() {
  return NS::ProcessInfo::processInfo()->isOperatingSystemAtLeastVersion(
      NS::OperatingSystemVersion{15, 0, 0});
}

// flat_m1_q4_c256 as the text has it: X(flat, 1, 4, 256).
std::string wanted(const std::string& name) {
  const size_t at = name.rfind("_m");
  unsigned metric = 0, query_block = 0, list_capacity = 0;
  if (at == std::string::npos ||
      std::sscanf(name.c_str() + at, "_m%u_q%u_c%u", &metric, &query_block, &list_capacity) != 3)
    return "";
  return std::string("#define NEARFIELD_METAL_WANTED(X) X(") + name.substr(0, at) + ", " +
         std::to_string(metric) + ", " + std::to_string(query_block) + ", " + std::to_string(list_capacity) +
         ")\n";
}

}  // namespace

Status compile(MTL::Device* device, const Adapter& adapter, const std::string& name, uint32_t lanes,
               std::unique_ptr<Pipeline>* out) {
  const Pool pool;
  const NS::SharedPtr<MTL::CompileOptions> options = NS::TransferPtr(MTL::CompileOptions::alloc()->init());
  // Bit for bit the canonical form: no reassociation, no fused operations that were not asked for.
  if (has_math_mode()) {
    options->setLanguageVersion(MTL::LanguageVersion3_2);
    options->setMathMode(MTL::MathModeSafe);
    options->setMathFloatingPointFunctions(MTL::MathFloatingPointFunctionsPrecise);
  } else {
    options->setLanguageVersion(MTL::LanguageVersion3_0);
    options->setFastMathEnabled(false);
  }
  const std::string source = wanted(name) + kKernelText;
  NS::Error* e = nullptr;
  const NS::SharedPtr<MTL::Library> library =
      NS::TransferPtr(device->newLibrary(string(source.c_str()), options.get(), &e));
  if (library.get() == nullptr)
    return error(NF_INTERNAL, "kernel %s does not compile on %s: %s", name.c_str(), adapter.name.c_str(),
                 text(e).c_str());
  const NS::SharedPtr<MTL::Function> function = NS::TransferPtr(library->newFunction(string(name.c_str())));
  if (function.get() == nullptr)
    return error(NF_INTERNAL, "kernel %s is not in the library that was compiled for it", name.c_str());
  const NS::SharedPtr<MTL::ComputePipelineDescriptor> descriptor =
      NS::TransferPtr(MTL::ComputePipelineDescriptor::alloc()->init());
  descriptor->setComputeFunction(function.get());
  descriptor->setMaxTotalThreadsPerThreadgroup(lanes);
  descriptor->setThreadGroupSizeIsMultipleOfThreadExecutionWidth(true);
  descriptor->setLabel(string(name.c_str()));
  NS::SharedPtr<MTL::ComputePipelineState> state = NS::TransferPtr(
      device->newComputePipelineState(descriptor.get(), MTL::PipelineOptionNone, nullptr, &e));
  if (state.get() == nullptr)
    return error(NF_INTERNAL, "kernel %s gave no pipeline on %s: %s", name.c_str(), adapter.name.c_str(),
                 text(e).c_str());
  if (state->threadExecutionWidth() != kSimdWidth || state->maxTotalThreadsPerThreadgroup() < lanes)
    return error(NF_INTERNAL,
                 "kernel %s: simdgroups of %lu and %lu threads at most on %s, needed are %lu and %u",
                 name.c_str(), static_cast<unsigned long>(state->threadExecutionWidth()),
                 static_cast<unsigned long>(state->maxTotalThreadsPerThreadgroup()), adapter.name.c_str(),
                 static_cast<unsigned long>(kSimdWidth), lanes);
  *out = std::make_unique<MetalPipeline>(std::move(state));
  return {};
}

}  // namespace nearfield::metal
