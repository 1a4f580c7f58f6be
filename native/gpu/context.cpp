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

// Path::kHardware. How a scan is divided follows from the device: a software GPU or an emulator is filled by
// a few workgroups and given little work at once, so that with its own constants a store never has thousands
// of lists, a submission never several slabs. These are an H200's, smaller by what a store of a few MB is
// smaller than one of some GB; Limits::most_lists stays, it is the kernels'.
constexpr uint32_t kHardwareWorkgroups = 1584;    // two waves of six on 132 multiprocessors
constexpr double kHardwarePartUnits = 1;          // a tile is worth a part, as 5,000 rows are among millions
constexpr uint64_t kHardwareSlabBytes = 1 << 20;  // of 1 GiB
constexpr uint32_t kHardwareDispatches = 16;  // of 256: a store has more slabs than a submission dispatches
// Several slabs of a few queries; never measured, because here it is the host that is measured.
constexpr double kHardwareUnitsPerDispatch = 1e6;

Status parse_path(const std::string& name, const char* backend, const Limits& limits, Path* out) {
  const struct {
    const char* name;
    Path path;
    bool exists = true;
  } paths[] = {{"small-grid", Path::kSmallGrid},
               {"hardware", Path::kHardware},
               {"direct", Path::kDirect, limits.sides_of_products},
               {"matrix", Path::kMatrix, limits.sides_of_products},
               {"tf32", Path::kTf32, limits.tf32_products},
               {"tf32-mma", Path::kTf32Mma, limits.tf32_warpgroups},
               {"codes", Path::kCodes, limits.codes},
               {"coded-product", Path::kCodedProduct, limits.coded_products},
               {"codes-unpacked", Path::kCodes, limits.packed_dots},
               {"no-subgroups", Path::kNoSubgroups, limits.subgroups}};
  *out = Path::kAutomatic;
  if (name.empty()) return {};
  std::string names;
  for (const auto& path : paths) {
    if (!path.exists) continue;
    *out = path.path;
    if (name == path.name) return {};
    names.append(names.empty() ? "\"" : ", \"").append(path.name).append("\"");
  }
  return error(NF_INVALID_ARGUMENT, "context_create: force_path=\"%.64s\", %s has %s", name.c_str(), backend,
               names.c_str());
}

}  // namespace

Status Context::create(std::unique_ptr<Queue> queue, const char* backend, const DeviceOptions& options,
                       std::shared_ptr<Context>* out) {
  auto context = std::make_shared<Context>();
  Limits& limits = context->limits_ = queue->limits();
  NF_TRY(parse_path(options.force_path, backend, limits, &context->path_));
  if (context->path_ == Path::kSmallGrid) limits.grid = kSmallGridWorkgroups;
  if (context->path_ == Path::kHardware) {
    limits.workgroups = kHardwareWorkgroups;
    limits.least_part_units = kHardwarePartUnits;
    limits.slab_bytes = kHardwareSlabBytes;
    limits.dispatches = kHardwareDispatches;
  }
  context->memory.limit = options.memory_limit;
  context->binding_limit_ = limits.binding_bytes;
  if (options.max_binding_bytes != 0)
    context->binding_limit_ = std::min(context->binding_limit_, options.max_binding_bytes);
  context->slab_bytes_ =
      std::min(options.slab_bytes != 0 ? options.slab_bytes : limits.slab_bytes, context->binding_limit_);
  context->workspace_limit_ = options.workspace_limit != 0 ? options.workspace_limit : kDefaultWorkspaceBytes;
  context->queue_ = std::move(queue);
  WorkSizes sizes{};
  sizes[kUnused] = sizes[kUnusedWrite] = kUnusedBytes;
  NF_TRY(context->reserve(sizes, "context_create"));
  *out = std::move(context);
  return {};
}

FlatShape Context::flat_shape(int64_t batch, int32_t k) const {
  FlatShape shape = queue_->flat_shape(batch, k);
  if (path_ == Path::kHardware) shape.workgroups = kHardwareWorkgroups;
  return shape;
}

double Context::units_per_dispatch() const {
  return path_ == Path::kHardware ? kHardwareUnitsPerDispatch : queue_->units_per_dispatch();
}

bool Context::has_side(int32_t metric) const {
  switch (metric) {
    case NF_COSINE:
    case NF_POINCARE:
      return true;
    case NF_L2SQ:
    case NF_DOT:
      return limits_.sides_of_products;
    default:
      return false;
  }
}

bool Context::has_residuals(const StoreOptions& options) const {
  return limits_.tf32_products && !options.drop_rows && !options.coded &&
         (options.metric == NF_L2SQ || options.metric == NF_COSINE || options.metric == NF_DOT);
}

uint64_t Context::bytes_beside_row(const StoreOptions& options) const {
  return (has_side(options.metric) ? sizeof(float) : 0) + (has_residuals(options) ? sizeof(Tf32Values) : 0);
}

uint64_t Context::workspace_bytes() const {
  uint64_t sum = limits_.fixed_bytes;
  for (const Buffer& buffer : work_) sum += buffer.size();
  return sum;
}

uint64_t Context::fixed_workspace() const {
  return limits_.fixed_bytes + work_[kUnused].size() + work_[kUnusedWrite].size();
}

uint64_t Context::free_workspace() const {
  return workspace_limit_ > fixed_workspace() ? workspace_limit_ - fixed_workspace() : 0;
}

Status Context::reserve(const WorkSizes& wanted, const char* what) {
  uint64_t needed = limits_.fixed_bytes, kept = needed;
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
  if (!work_[kBasis] || work_[kBasis].size() < wanted[kBasis]) loaded_basis_ = nullptr;
  for (uint32_t i = 0; i < kWorkCount; ++i) {
    if (work_[i].size() >= wanted[i]) continue;
    work_[i] = Buffer();
    NF_TRY(queue_->allocate(wanted[i], i == kReadback ? Use::kReadback : Use::kStorage, what, &work_[i]));
  }
  return {};
}

Grid Context::grid(uint64_t workgroups) const {
  const auto x = static_cast<uint32_t>(std::min<uint64_t>(workgroups, limits_.grid));
  return {x, static_cast<uint32_t>((workgroups + x - 1) / x)};
}

}  // namespace nearfield::gpu
