// SPDX-License-Identifier: Apache-2.0
#include "context.hpp"

#include <algorithm>
#include <utility>

namespace nearfield::gpu {
namespace {

constexpr uint64_t kDefaultWorkspaceBytes = 256ull << 20;
constexpr uint64_t kUnusedBytes = 256;
// Small enough that 2-D grids occur with a few rows.
constexpr uint32_t kSmallGridWorkgroups = 3;

Status parse_path(const std::string& name, const char* backend, bool has_matrix, Path* out) {
  if (name.empty())
    *out = Path::kAutomatic;
  else if (name == "small-grid")
    *out = Path::kSmallGrid;
  else if (name == "direct" && has_matrix)
    *out = Path::kDirect;
  else if (name == "matrix" && has_matrix)
    *out = Path::kMatrix;
  else
    return error(NF_INVALID_ARGUMENT, "context_create: force_path=\"%.64s\", %s has \"small-grid\"%s",
                 name.c_str(), backend, has_matrix ? ", \"direct\" and \"matrix\"" : "");
  return {};
}

}  // namespace

Status Context::create(std::unique_ptr<Queue> queue, const char* backend, const DeviceOptions& options,
                       std::shared_ptr<Context>* out) {
  const Limits& limits = queue->limits();
  auto context = std::make_shared<Context>();
  NF_TRY(parse_path(options.force_path, backend, limits.sides_of_products, &context->path_));
  context->memory_limit_ = options.memory_limit;
  context->binding_limit_ = limits.binding_bytes;
  if (options.max_binding_bytes != 0)
    context->binding_limit_ = std::min(context->binding_limit_, options.max_binding_bytes);
  context->slab_bytes_ =
      std::min(options.slab_bytes != 0 ? options.slab_bytes : limits.slab_bytes, context->binding_limit_);
  context->workspace_limit_ = options.workspace_limit != 0 ? options.workspace_limit : kDefaultWorkspaceBytes;
  context->max_grid_ = context->path_ == Path::kSmallGrid ? kSmallGridWorkgroups : limits.grid;
  context->queue_ = std::move(queue);
  WorkSizes sizes{};
  sizes[kUnused] = sizes[kUnusedWrite] = kUnusedBytes;
  NF_TRY(context->reserve(sizes, "context_create"));
  *out = std::move(context);
  return {};
}

bool Context::has_side(int32_t metric) const {
  switch (metric) {
    case NF_COSINE:
    case NF_POINCARE:
      return true;
    case NF_L2SQ:
    case NF_DOT:
      return queue_->limits().sides_of_products;
    default:
      return false;
  }
}

uint64_t Context::workspace_bytes() const {
  uint64_t sum = queue_->limits().fixed_bytes;
  for (const Buffer& buffer : work_) sum += buffer.size();
  return sum;
}

uint64_t Context::fixed_workspace() const {
  return queue_->limits().fixed_bytes + work_[kUnused].size() + work_[kUnusedWrite].size();
}

uint64_t Context::free_workspace() const {
  return workspace_limit_ > fixed_workspace() ? workspace_limit_ - fixed_workspace() : 0;
}

Status Context::reserve(const WorkSizes& wanted, const char* what) {
  uint64_t needed = queue_->limits().fixed_bytes, kept = needed;
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
    NF_TRY(queue_->allocate(wanted[i], i == kReadback ? Use::kReadback : Use::kStorage, what, &work_[i]));
  }
  return {};
}

Grid Context::grid(uint64_t workgroups) const {
  const auto x = static_cast<uint32_t>(std::min<uint64_t>(workgroups, max_grid_));
  return {x, static_cast<uint32_t>((workgroups + x - 1) / x)};
}

}  // namespace nearfield::gpu
