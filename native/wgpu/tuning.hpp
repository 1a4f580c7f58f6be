// SPDX-License-Identifier: Apache-2.0
// How work is divided, by the kind of adapter: WebGPU tells neither the number of cores nor the bandwidth.
// docs/wgpu.md has the arithmetic.
#pragma once

#include <algorithm>
#include <cstdint>

#include "symbols.hpp"
#include "workgroup.hpp"

namespace nearfield::wgpu {

struct Tuning {
  // Until the first dispatch has been measured. A unit is four dimensions of one row for one query.
  double first_units_per_ns;
  uint32_t workgroups;     // that fill the device
  double part_units;       // of a part of a scan that is worth its list and the merge
  uint64_t binding_bytes;  // of a slab at most
  uint32_t loops;
  uint64_t coded_bytes;   // of a store's rows, from which on a scan of codes is faster
  int32_t coded_k;        // largest k of such scans
  int64_t product_batch;  // queries from which on products of codes are faster
};

// `cores`: of the CPU.
inline Tuning tuning_of(WGPUAdapterType type, uint32_t cores) {
  // lavapipe runs one workgroup a core, twice as many even out the ends; it does about 0.1 units a nanosecond
  // and core, and allows bindings of 128 MiB. Of 100,000 x 128, L2, k = 10, products of codes took 1.13 of
  // the CPU time of the direct form for 64 queries, 0.88 for 256 and 0.90 for 1000.
  if (type == WGPUAdapterType_CPU)
    return {0.2, 2 * std::max(1u, cores), 1e5, 128ull << 20, kMostLoops, 8 << 20, 32, 256};
  // A workgroup reads 8 KiB ahead: the bandwidth of a large GPU (4.3 TB/s, 1 us away) takes 525 of them, and
  // they do not all read at all times. A part of 160 KB of rows takes one 20 us, its list the merge some tens
  // of nanoseconds. A slab is a dispatch, and a dispatch begins when the one before has ended, so slabs are
  // as large as a store may well grow at once, below the 2 GiB beyond which some drivers read wrong values.
  // 64 MiB are read in 15 us: a sample and rescoring take more than that beside the scan of the codes.
  // Products of codes read a row once for 64 queries, the direct form for four, and take an instruction for
  // eight where there is one for dot4I8Packed: every batch that no scan of codes is for.
  Tuning tuning{20, 1024, 1e4, 1ull << 30, UINT32_MAX, 64 << 20, 128, 17};
  // What does not say what it is may be llvmpipe under another name.
  if (type == WGPUAdapterType_Unknown) tuning.loops = kMostLoops;
  // Those that share the host's memory have some tens of cores and a twentieth of the bandwidth.
  if (type == WGPUAdapterType_IntegratedGPU)
    tuning.first_units_per_ns = 5, tuning.workgroups = 256, tuning.coded_bytes = 8 << 20;
  return tuning;
}

}  // namespace nearfield::wgpu
