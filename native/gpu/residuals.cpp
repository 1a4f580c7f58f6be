// SPDX-License-Identifier: Apache-2.0
// What matrix units see of a store's rows, and of queries, as TF32, beside them: made on the device, whole
// groups at a time, wherever rows come.
#include <algorithm>
#include <numeric>

#include "store.hpp"
#include "tf32_bounds.hpp"

namespace nearfield::gpu {

Status GpuStore::add_residuals(const ResidualRows& rows, std::span<const uint32_t> groups,
                               const Buffer& values, const char* what) {
  ResidualParams p{};
  p.chunks = chunks();
  p.list_count = static_cast<uint32_t>(groups.size());
  p.is_query = rows.rounded == nullptr ? 0
               : rows.in_tiles         ? NEARFIELD_QUERY_TILES
                                       : NEARFIELD_QUERY_FRAGMENTS;
  p.has_side = rows.rounded == nullptr && options_.metric == NF_COSINE;
  Tf32Bounds(options_.metric, options_.dim).set_scales(rows.rounded != nullptr, &p);
  const uint32_t block = context_->limits().lanes / static_cast<uint32_t>(kGroupRows);
  p.workgroups = (p.list_count + block - 1) / block;
  Queue& queue = context_->queue();
  queue.write(context_->work(kGroups), 0, groups.data(), groups.size_bytes());
  NF_TRY(context_->dispatch(
      kResidual, {}, p, context_->grid(p.workgroups),
      {rows.vectors, p.has_side != 0 ? rows.side : &context_->work(kUnused), &context_->work(kGroups),
       &values, rows.rounded != nullptr ? rows.rounded : &context_->work(kUnusedWrite)}));
  return queue.submit(0, what);
}

void GpuStore::add_residual_sizes(int64_t groups, WorkSizes* sizes) const {
  if (has_residuals())
    (*sizes)[kGroups] = std::max<uint64_t>(
        (*sizes)[kGroups], static_cast<uint64_t>(std::max<int64_t>(groups, 1)) * sizeof(uint32_t));
}

Status GpuStore::residuals_moved(const std::vector<Step>& steps, const char* what) {
  if (!has_residuals()) return {};
  return for_moved_groups(steps, [&](int64_t slab, std::vector<uint32_t>& groups) {
    const SlabBuffers& buffers = slabs_[slab];
    return add_residuals({&buffers.vectors, &buffers.side, nullptr}, groups, buffers.residuals, what);
  });
}

void GpuStore::add_query_rounding_sizes(int64_t groups, WorkSizes* sizes) const {
  add_residual_sizes(groups, sizes);
  const auto rows = static_cast<uint64_t>(groups * kGroupRows);
  (*sizes)[kCoded] = rows * row_bytes();
  (*sizes)[kQueryResiduals] = rows * sizeof(Tf32Values);
}

Status GpuStore::round_queries(int64_t groups, bool in_tiles, const char* what) {
  std::vector<uint32_t> list(static_cast<size_t>(groups));
  std::iota(list.begin(), list.end(), 0u);
  return add_residuals({&context_->work(kTileQueries), nullptr, &context_->work(kCoded), in_tiles}, list,
                       context_->work(kQueryResiduals), what);
}

}  // namespace nearfield::gpu
