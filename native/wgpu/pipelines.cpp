// SPDX-License-Identifier: Apache-2.0
#include "pipelines.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "queue.hpp"
#include "workgroup.hpp"

namespace nearfield::wgpu {

namespace {

constexpr Shape kPlain[] = {{}};
constexpr Shape kCodeBlocks[] = {{1, 1}, {gpu::kLevelsQueries, 1}};
constexpr Shape kListBlocks[] = {
    {1, kSmallList}, {kFlatQueries, kSmallList}, {1, kLargeList}};  // flat_shape()
constexpr Shape kOneList[] = {{1, kSmallList}, {1, kLargeList}};
constexpr Shape kProductTiles[] = {{kSmallProductTile, 1}, {kProductTile, 1}};  // coded_product_shape()
// Of WGSL, for dot4_packed.wgsl.
constexpr const char* kPackedFeature = "packed_4x8_integer_dot_product";
constexpr Place kPlaces[] = {
    {gpu::kFlat, "flat", "main", true, true, false, kListBlocks},
    {gpu::kMerge, "merge", "main", false, true, false, kOneList},
    {gpu::kHistogram, "radix", "histogram", true, false, false, kPlain},
    {gpu::kCollect, "radix", "collect", true, false, false, kPlain},
    {gpu::kScore, "score", "main", true, false, false, kPlain},
    {gpu::kMove, "move", "main", false, false, false, kPlain},
    {gpu::kRotate, "rotate", "main", true, false, false, kPlain},
    {gpu::kCode, "code", "main", true, false, false, kPlain},
    {gpu::kDecode, "decode", "main", false, false, false, kPlain},
    {gpu::kTransfer, "transfer", "main", false, false, false, kPlain},
    {gpu::kLevels, "levels", "main", true, false, true, kCodeBlocks},
    {gpu::kRescore, "rescore", "main", true, true, false, kOneList},
    {gpu::kCodedProduct, "coded_product", "main", true, false, true, kProductTiles},
    {gpu::kPrune, "prune", "main", false, false, false, kPlain},
};

// The text of a source file, NULL when there is none.
const char* source_of(const char* file) {
  const KernelSource* source = kKernelSources;
  while (source->name != nullptr && std::strcmp(source->name, file) != 0) ++source;
  return source->text;
}

bool has(const Place& place, const gpu::Variant& variant) {
  const auto all = variants(place);
  return std::any_of(all.begin(), all.end(), [&](const gpu::Variant& v) {
    return v.metric == variant.metric && v.query_block == variant.query_block &&
           v.list_capacity == variant.list_capacity;
  });
}

}  // namespace

std::span<const Place> places() { return kPlaces; }

std::vector<gpu::Variant> variants(const Place& place) {
  std::vector<gpu::Variant> all;
  for (const Shape& shape : place.shapes)
    for (int32_t metric = NF_L2SQ; metric <= (place.by_metric ? NF_MANHATTAN : NF_L2SQ); ++metric)
      all.push_back({metric, shape.query_block, shape.list_capacity});
  return all;
}

void Pipelines::clear() {
  for (auto& [key, pipeline] : cache_) release(pipeline);
  cache_.clear();
}

void Pipelines::release(const Pipeline& pipeline) {
  if (pipeline.handle != nullptr) queue_.symbols().wgpuComputePipelineRelease(pipeline.handle);
  if (pipeline.layout != nullptr) queue_.symbols().wgpuBindGroupLayoutRelease(pipeline.layout);
}

Status Pipelines::get(const gpu::Kernel& kernel, const gpu::Variant& variant, const Pipeline** out) {
  const std::string constants = "const METRIC: u32 = " + std::to_string(variant.metric) +
                                "u;\nconst QB: u32 = " + std::to_string(variant.query_block) +
                                "u;\nconst CAP: u32 = " + std::to_string(variant.list_capacity) +
                                "u;\nconst WG: u32 = " + std::to_string(kLanes) + "u;\n";
  const std::string key = std::string(kernel.name) + "\n" + constants;
  if (auto found = cache_.find(key); found != cache_.end()) {
    *out = &found->second;
    return {};
  }
  const Place* place = std::find_if(std::begin(kPlaces), std::end(kPlaces), [&](const Place& p) {
    return std::strcmp(p.kernel.name, kernel.name) == 0;
  });
  if (place == std::end(kPlaces)) return error(NF_INTERNAL, "no kernel is named %s", kernel.name);
  if (!has(*place, variant))
    return error(NF_INTERNAL, "kernel %s: there is none for metric %d, query block %u, list capacity %u",
                 kernel.name, variant.metric, variant.query_block, variant.list_capacity);
  const bool packed = place->has_dots && queue_.packed_dots();
  std::string text = packed ? std::string("requires ") + kPackedFeature + ";\n" + constants : constants;
  const char* const append = queue_.subgroups() ? "append_subgroups" : "append";
  const char* const dots = packed ? "dot4_packed" : "dot4_unpacked";
  for (const char* file :
       {place->has_lists ? append : nullptr, place->has_dots ? dots : nullptr, place->file}) {
    if (file == nullptr) continue;
    const char* const source = source_of(file);
    if (source == nullptr) return error(NF_INTERNAL, "no kernel source is named %s", file);
    text += source;
  }
  Pipeline pipeline;
  NF_TRY(compile(text, place->entry, kernel, &pipeline));
  *out = &cache_.emplace(key, pipeline).first->second;
  return {};
}

bool Pipelines::has_packed_dots() {
  const std::string text =
      std::string("requires ") + kPackedFeature + "; @compute @workgroup_size(1) fn main() {}";
  Pipeline pipeline;
  const Status status = compile(text, "main", gpu::kPrune, &pipeline);
  release(pipeline);
  return status.ok();
}

Status Pipelines::compile(const std::string& source, const char* entry, const gpu::Kernel& kernel,
                          Pipeline* out) {
  const Symbols& s = queue_.symbols();
  NF_TRY(queue_.health());
  const std::string what = std::string("kernel ") + kernel.name;

  WGPUShaderSourceWGSL wgsl{};
  wgsl.chain.sType = WGPUSType_ShaderSourceWGSL;
  wgsl.code = {source.data(), source.size()};
  WGPUShaderModuleDescriptor module_descriptor{};
  module_descriptor.nextInChain = &wgsl.chain;
  // Bounds stay checked. Loop bounding is left out: every loop of ours ends by its own count, and the
  // counters it adds cost a tenth of the scan on lavapipe.
  WGPUShaderModule module = s.wgpuDeviceCreateShaderModuleTrusted(queue_.device(), &module_descriptor,
                                                                  WGPUShaderRuntimeChecks_BoundsChecks);
  Status status = queue_.take_error(what.c_str());

  WGPUBindGroupLayoutEntry entries[kMostBindings]{};
  const size_t count = 1 + std::strlen(kernel.access);
  for (size_t i = 0; i < count; ++i) {
    entries[i].binding = static_cast<uint32_t>(i);
    entries[i].visibility = WGPUShaderStage_Compute;
    entries[i].buffer.type = i == 0                        ? WGPUBufferBindingType_Uniform
                             : kernel.access[i - 1] == 'w' ? WGPUBufferBindingType_Storage
                                                           : WGPUBufferBindingType_ReadOnlyStorage;
    entries[i].buffer.hasDynamicOffset = i == 0;
  }
  Pipeline pipeline;
  WGPUPipelineLayout layout = nullptr;
  if (status.ok()) {
    WGPUBindGroupLayoutDescriptor descriptor{};
    descriptor.entryCount = count;
    descriptor.entries = entries;
    pipeline.layout = s.wgpuDeviceCreateBindGroupLayout(queue_.device(), &descriptor);
    status = queue_.take_error(what.c_str());
  }
  if (status.ok()) {
    WGPUPipelineLayoutDescriptor descriptor{};
    descriptor.bindGroupLayoutCount = 1;
    descriptor.bindGroupLayouts = &pipeline.layout;
    layout = s.wgpuDeviceCreatePipelineLayout(queue_.device(), &descriptor);
    status = queue_.take_error(what.c_str());
  }
  if (status.ok()) {
    WGPUComputePipelineDescriptor descriptor{};
    descriptor.layout = layout;
    descriptor.compute.module = module;
    descriptor.compute.entryPoint = view(entry);
    pipeline.handle = s.wgpuDeviceCreateComputePipeline(queue_.device(), &descriptor);
    status = queue_.take_error(what.c_str());
  }
  if (module != nullptr) s.wgpuShaderModuleRelease(module);
  if (layout != nullptr) s.wgpuPipelineLayoutRelease(layout);
  if (!status.ok()) {
    release(pipeline);
    return status;
  }
  *out = pipeline;
  return {};
}

}  // namespace nearfield::wgpu
