// SPDX-License-Identifier: Apache-2.0
// Selection for large k. The scan is recomputed for each digit of the composite (key, row): `histogram`
// counts one digit of the rows that match the digits fixed so far, the host fixes the digit that holds the
// k-th entry; `collect` then writes everything not beyond the bound, at most k entries in any order. No score
// is stored. One query a block.
#pragma once

#include "rows.cuh"
#include "shapes.h"

namespace nearfield::cuda {

// bins: [batch][NEARFIELD_BINS]
template <int METRIC>
__device__ inline void histogram(const ScanParams& p, const float4* vectors, const float* sides,
                                 const uint32_t* live, const float4* queries, const uint32_t* masks,
                                 const Digits* digits, uint32_t* bins) {
  NF_SHARED(uint32_t, local, NEARFIELD_BINS);
  Part part;
  if (!part.locate(p)) return;
  const Slab slab{vectors, sides, live, masks, p.chunks, p.first_row, p.has_masks};
  const uint32_t q = part.query_block;
  const Digits fixed = digits[q];
  for (uint32_t i = threadIdx.x; i < NEARFIELD_BINS; i += kScanThreads) local[i] = 0;
  __syncthreads();
  for (uint32_t tile = part.begin; tile < part.end; tile += kTileRows / kWarp) {
    const auto found = score_one<METRIC>(slab, tile, part.end, queries, q, p.batch);
    const uint32_t key = found.key(0, 0), row = found.rows[0];
    if (key != NEARFIELD_EMPTY && (key & fixed.key_mask) == fixed.key && (row & fixed.row_mask) == fixed.row)
      atomicAdd(&local[(p.digit_stage != 0 ? row : key) >> p.digit_shift & (NEARFIELD_BINS - 1)], 1u);
  }
  __syncthreads();
  for (uint32_t i = threadIdx.x; i < NEARFIELD_BINS; i += kScanThreads)
    if (local[i] != 0) atomicAdd(&bins[q * NEARFIELD_BINS + i], local[i]);
}

// counts: [batch]; out: [batch][k]
template <int METRIC>
__device__ inline void collect(const ScanParams& p, const float4* vectors, const float* sides,
                               const uint32_t* live, const float4* queries, const uint32_t* masks,
                               const Digits* bounds, uint32_t* counts, Entry* out) {
  Part part;
  if (!part.locate(p)) return;
  const Slab slab{vectors, sides, live, masks, p.chunks, p.first_row, p.has_masks};
  const uint32_t q = part.query_block;
  const uint64_t bound = entry_of(bounds[q].key, bounds[q].row);
  for (uint32_t tile = part.begin; tile < part.end; tile += kTileRows / kWarp) {
    const auto found = score_one<METRIC>(slab, tile, part.end, queries, q, p.batch);
    const uint32_t key = found.key(0, 0), row = found.rows[0];
    if (key == NEARFIELD_EMPTY || entry_of(key, row) > bound) continue;
    const uint32_t slot = atomicAdd(&counts[q], 1u);
    if (slot < p.k) out[static_cast<uint64_t>(q) * p.k + slot] = {key, row};
  }
}

}  // namespace nearfield::cuda
