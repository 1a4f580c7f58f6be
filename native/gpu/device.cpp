// SPDX-License-Identifier: Apache-2.0
#include "device.hpp"

#include "store.hpp"

namespace nearfield::gpu {

Status GpuDevice::info(nf_device_info* out) {
  context_->queue().info(out);
  return {};
}

bool GpuDevice::supports(int32_t metric) const { return metric >= NF_L2SQ && metric <= NF_MANHATTAN; }

bool GpuDevice::supports_codes(int32_t metric) const {
  return context_->limits().codes && metric >= NF_L2SQ && metric <= NF_POINCARE;
}

bool GpuDevice::supports_codes_alone(int32_t metric) const {
  return context_->limits().codes && metric >= NF_L2SQ && metric <= NF_DOT;
}

bool GpuDevice::serves_runs(int32_t metric) const { return metric >= NF_L2SQ && metric <= NF_POINCARE; }

uint64_t GpuDevice::estimate(const StoreOptions& options) const {
  return SlabMap(options.dim, slab_vector_bytes(*context_, options))
      .fresh_bytes(options.capacity, [&](const SlabMap::Slab& slab) {
        return slab_device_bytes(slab, context_->bytes_beside_row(options), options);
      });
}

Status GpuDevice::create_store(const StoreOptions& options, std::unique_ptr<Store>* out, const Call&) {
  NF_TRY(health());
  // checks.hpp: the largest dimension keeps a group at 8 MiB, which every binding holds (max_binding_bytes, a
  // test's limit, gives way), and its chunks at a third of the smallest Limits::loops.
  *out = std::make_unique<GpuStore>(context_, options);
  return {};
}

}  // namespace nearfield::gpu
