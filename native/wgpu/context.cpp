// SPDX-License-Identifier: Apache-2.0
#include "context.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace nearfield::wgpu {
namespace {

// Every WebGPU adapter allows bindings of this size, and lavapipe no more; larger ones gain nothing, since a
// store grows by slabs anyway, and some drivers read wrong values in bindings beyond 2 GiB.
constexpr uint64_t kMaxBindingBytes = 128ull << 20;
constexpr uint64_t kDefaultWorkspaceBytes = 256ull << 20;
// Small enough that 2-D grids occur with a few rows: force_path "small-grid", for tests.
constexpr uint32_t kSmallGrid = 3;

constexpr WGPUBufferUsage usage_of(uint32_t which) {
  switch (which) {
    case kUniforms:
      return WGPUBufferUsage_Uniform | WGPUBufferUsage_CopyDst;
    case kReadback:
      return WGPUBufferUsage_MapRead | WGPUBufferUsage_CopyDst;
    default:
      return WGPUBufferUsage_Storage | WGPUBufferUsage_CopyDst | WGPUBufferUsage_CopySrc;
  }
}

}  // namespace

Status Context::create(std::shared_ptr<Native> native, const DeviceOptions& options,
                       std::shared_ptr<Context>* out) {
  const auto& adapters = native->adapters();
  const auto count = static_cast<int32_t>(adapters.size());
  if (options.device < 0 || options.device >= count)
    return error(NF_INVALID_ARGUMENT, "context_create: device=%d, wgpu has %d%s%s", options.device, count,
                 count == 0 ? ": " : "", count == 0 ? native->why_none().c_str() : "");
  const std::string& path = options.force_path;
  if (!path.empty() && path != "small-grid")
    return error(NF_INVALID_ARGUMENT, "context_create: force_path=\"%.64s\", wgpu has \"small-grid\"",
                 path.c_str());
  std::shared_ptr<Gpu> gpu;
  NF_TRY(Gpu::create(native, adapters[static_cast<size_t>(options.device)], &gpu));
  auto context = std::make_shared<Context>(std::move(gpu), options);
  WorkSizes sizes{};
  sizes[kUniforms] = Commands::kSlotBytes * Commands::kSlots;
  sizes[kUnused] = sizes[kUnusedWrite] = Commands::kSlotBytes;
  NF_TRY(context->reserve(sizes, "context_create"));
  *out = std::move(context);
  return {};
}

Context::Context(std::shared_ptr<Gpu> gpu, const DeviceOptions& options)
    : gpu_(std::move(gpu)), pipelines_(gpu_), memory_limit_(options.memory_limit) {
  const WGPULimits& limits = gpu_->limits();
  binding_limit_ = std::min({kMaxBindingBytes, limits.maxStorageBufferBindingSize, limits.maxBufferSize});
  if (options.max_binding_bytes != 0) binding_limit_ = std::min(binding_limit_, options.max_binding_bytes);
  slab_bytes_ = options.slab_bytes != 0 ? std::min(options.slab_bytes, binding_limit_) : binding_limit_;
  workspace_limit_ = options.workspace_limit != 0 ? options.workspace_limit : kDefaultWorkspaceBytes;
  max_grid_ = options.force_path == "small-grid" ? kSmallGrid : limits.maxComputeWorkgroupsPerDimension;
}

uint64_t Context::workspace_bytes() const {
  uint64_t sum = 0;
  for (const Buffer& buffer : work_) sum += buffer.size();
  return sum;
}

Status Context::reserve(const WorkSizes& wanted, const char* what) {
  uint64_t needed = 0, kept = 0;
  for (uint32_t i = 0; i < kWorkCount; ++i) {
    const uint64_t always = i <= kUnusedWrite ? work_[i].size() : 0;
    needed += std::max(wanted[i], always);
    kept += std::max(wanted[i], work_[i].size());
  }
  if (needed > workspace_limit_)
    return error(NF_RESOURCE_EXHAUSTED, "%s: a workspace of %llu bytes is needed, the limit is %llu", what,
                 static_cast<unsigned long long>(needed), static_cast<unsigned long long>(workspace_limit_));
  const bool shrink = kept > workspace_limit_;
  for (uint32_t i = kUnusedWrite + 1; i < kWorkCount; ++i)
    if (shrink && work_[i].size() > wanted[i]) work_[i] = Buffer();
  for (uint32_t i = 0; i < kWorkCount; ++i) {
    if (work_[i].size() >= wanted[i]) continue;
    work_[i] = Buffer();
    NF_TRY(gpu_->create_buffer(wanted[i], usage_of(i), what, &work_[i]));
  }
  return {};
}

Grid Context::grid(uint64_t workgroups) const {
  const auto x = static_cast<uint32_t>(std::min<uint64_t>(workgroups, max_grid_));
  return {x, static_cast<uint32_t>((workgroups + x - 1) / x)};
}

Commands::~Commands() {
  if (encoder_ == nullptr) return;
  end_pass();
  context_.gpu().symbols().wgpuCommandEncoderRelease(encoder_);
}

void Commands::end_pass() {
  if (pass_ == nullptr) return;
  context_.gpu().symbols().wgpuComputePassEncoderEnd(pass_);
  context_.gpu().symbols().wgpuComputePassEncoderRelease(pass_);
  pass_ = nullptr;
}

Status Commands::dispatch_bytes(const Pipeline& pipeline, const void* params, size_t bytes,
                                const Buffer* const* buffers, size_t count, Grid grid) {
  Gpu& gpu = context_.gpu();
  const Symbols& s = gpu.symbols();
  NF_TRY(gpu.health());
  WGPUBindGroupEntry entries[16]{};
  entries[0].buffer = context_.work(kUniforms).handle();
  entries[0].size = kSlotBytes;
  for (size_t i = 0; i < count; ++i) {
    entries[i + 1].binding = static_cast<uint32_t>(i + 1);
    entries[i + 1].buffer = buffers[i]->handle();
    entries[i + 1].size = buffers[i]->size();
  }
  WGPUBindGroupDescriptor descriptor{};
  descriptor.layout = pipeline.layout;
  descriptor.entryCount = count + 1;
  descriptor.entries = entries;
  WGPUBindGroup group = s.wgpuDeviceCreateBindGroup(gpu.device(), &descriptor);
  if (Status status = gpu.take_error("bind group"); !status.ok()) {
    if (group != nullptr) s.wgpuBindGroupRelease(group);
    return status;
  }
  if (encoder_ == nullptr) encoder_ = s.wgpuDeviceCreateCommandEncoder(gpu.device(), nullptr);
  if (pass_ == nullptr) pass_ = s.wgpuCommandEncoderBeginComputePass(encoder_, nullptr);
  const auto offset = static_cast<uint32_t>(used_ * kSlotBytes);
  uniforms_.resize(offset + kSlotBytes);
  std::memcpy(uniforms_.data() + offset, params, bytes);
  ++used_;
  measurable_ = measurable_ && pipeline.used;
  pipeline.used = true;
  s.wgpuComputePassEncoderSetPipeline(pass_, pipeline.handle);
  s.wgpuComputePassEncoderSetBindGroup(pass_, 0, group, 1, &offset);
  s.wgpuComputePassEncoderDispatchWorkgroups(pass_, grid.x, grid.y, 1);
  s.wgpuBindGroupRelease(group);
  return {};
}

void Commands::copy(const Buffer& from, uint64_t from_offset, const Buffer& to, uint64_t to_offset,
                    uint64_t bytes) {
  const Symbols& s = context_.gpu().symbols();
  end_pass();
  if (encoder_ == nullptr) encoder_ = s.wgpuDeviceCreateCommandEncoder(context_.gpu().device(), nullptr);
  s.wgpuCommandEncoderCopyBufferToBuffer(encoder_, from.handle(), from_offset, to.handle(), to_offset, bytes);
}

Status Commands::submit(double units, const char* what) {
  end_pass();
  if (encoder_ == nullptr) return {};
  context_.gpu().write(context_.work(kUniforms), 0, uniforms_.data(), uniforms_.size());
  WGPUCommandEncoder encoder = encoder_;
  encoder_ = nullptr;
  used_ = 0;
  uniforms_.clear();
  const bool measurable = std::exchange(measurable_, true);
  return context_.gpu().submit(encoder, measurable ? units : 0, what);
}

}  // namespace nearfield::wgpu
