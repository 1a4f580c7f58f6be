// SPDX-License-Identifier: Apache-2.0
#include "device.hpp"

#include <cstdio>

#include "store.hpp"

namespace nearfield::wgpu {

void fill_info(const Adapter& adapter, nf_device_info* out) {
  std::snprintf(out->name, sizeof(out->name), "%s", adapter.name.c_str());
  std::snprintf(out->driver, sizeof(out->driver), "%s", adapter.driver.c_str());
  out->memory_bytes = out->free_bytes = 0;  // WebGPU does not tell
  out->max_binding_bytes = adapter.limits.maxStorageBufferBindingSize;
  out->dispatch_target_ns = Gpu::kDispatchTargetNs;
  out->simd_width = static_cast<int32_t>(adapter.subgroup_min);
  out->compute_units = 0;  // likewise
  out->unified_memory = adapter.type != WGPUAdapterType_DiscreteGPU;
  out->software = adapter.software();
  out->emulated = 0;
}

Status WgpuDevice::info(nf_device_info* out) {
  fill_info(context_->gpu().adapter(), out);
  return {};
}

bool WgpuDevice::supports(int32_t metric) const { return metric >= NF_L2SQ && metric <= NF_MANHATTAN; }

uint64_t WgpuDevice::estimate(const StoreOptions& options) const {
  return SlabMap(options.dim, context_->slab_bytes())
      .fresh_bytes(options.capacity, [&](const SlabMap::Slab& slab) {
        return slab_device_bytes(slab, options.metric, options.dim);
      });
}

Status WgpuDevice::create_store(const StoreOptions& options, std::unique_ptr<Store>* out, const Call&) {
  NF_TRY(health());
  // checks.hpp: the largest dimension keeps a group at 8 MiB, which every binding holds (max_binding_bytes, a
  // test's limit, gives way), and its chunks at a third of kMostLoops.
  *out = std::make_unique<WgpuStore>(context_, options);
  return {};
}

}  // namespace nearfield::wgpu
