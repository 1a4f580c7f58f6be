// SPDX-License-Identifier: Apache-2.0
// Products of a tile of rows with a tile of queries, and the selection in the epilogue: a row that the bound
// of its product cannot rule out (kernel_params.h: Bound) becomes a candidate of the query. No product is
// stored.
//
// A thread owns 8 queries by 8 rows, strided so that eight neighbouring lanes read 128 contiguous bytes of
// shared memory. Both operands are tile32, so a step of 16 dimensions comes by 16-byte copies, one step ahead
// of the arithmetic.
#pragma once

#include "rows.cuh"
#include "shapes.h"

namespace nearfield::cuda {

// What the query's limit allows on the scale of the test.
__device__ inline float cut_of(uint32_t limit, float scale, float base) {
  if (limit == NEARFIELD_EMPTY) return __uint_as_float(0x7f800000u);
  const float c = __fmaf_rn(rank_of_key(limit), scale, base);
  return __fadd_rn(c, __fmul_rn(fabsf(c), 0x1p-22f));
}

template <int METRIC>
__device__ inline bool may_be_near(float product, float side, float slope, float cut) {
  if (METRIC == kCosine) return -__fmul_rn(side, product) <= cut;
  return __fmaf_rn(slope, side, -product) <= cut;
}

template <int METRIC, uint32_t QUERY_TILE>
__device__ inline void matrix(const MatrixParams& p, const float4* vectors, const float* sides,
                              const uint32_t* live, const float4* queries, const uint32_t* masks,
                              const Bound* bounds, const uint32_t* limits, uint32_t* counts,
                              uint32_t* candidates) {
  constexpr uint32_t threads = kMatrixThreads<QUERY_TILE>, row_tile = kMatrixRowTile<QUERY_TILE>;
  constexpr uint32_t T = kThreadTile;
  constexpr uint32_t query_threads = QUERY_TILE / T, row_threads = row_tile / T;
  // A warp spans `across` threads along the queries, its other lanes lie along the rows: rows by lane bit 0
  // and the highest ones, queries by those between. A 128-bit load from shared memory takes two passes
  // instead of four when lanes i and i^1, or i and i^2, want the same address: queries are the first case,
  // rows the second.
  constexpr uint32_t across = query_threads < 8 ? query_threads : 8;
  constexpr uint32_t query_elements = QUERY_TILE * kStepChunks, row_elements = row_tile * kStepChunks;
  static_assert(kWarp % query_threads == 0 && kWarp % row_threads == 0,
                "a thread's rows are a fixed stride apart");
  NF_SHARED(float4, query_steps, 2 * query_elements);
  NF_SHARED(float4, row_steps, 2 * row_elements);

  const uint32_t block = blockIdx.x + blockIdx.y * p.grid_x;
  if (block >= p.workgroups) return;
  const uint32_t q0 = block % p.query_tiles * QUERY_TILE;
  const uint32_t group0 = p.group_begin + block / p.query_tiles * (row_tile / kWarp);
  const Slab slab{vectors, sides, live, masks, p.chunks, p.first_row, p.has_masks};
  uint32_t any_live = 0;
  for (uint32_t g = group0; g < p.group_end && g < group0 + row_tile / kWarp; ++g) any_live |= live[g];
  if (any_live == 0) return;

  const uint32_t warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const uint32_t ql = lane / 2 % across, rl = lane % 2 + lane / (2 * across) * 2;
  constexpr uint32_t query_warps = query_threads / across;
  const uint32_t tq = warp % query_warps * across + ql;
  const uint32_t tv = warp / query_warps * (kWarp / across) + rl;

  // A thread copies the same chunk, of a step and of a group, of every `apart`-th group.
  constexpr uint32_t apart = threads / (kWarp * kStepChunks);
  const uint32_t my_group = threadIdx.x / (kWarp * kStepChunks), my_chunk = warp % kStepChunks;
  const uint32_t stride = apart * p.chunks * kWarp;
  const float4* query_from =
      queries + (static_cast<uint64_t>(q0 / kWarp + my_group) * p.chunks + my_chunk) * kWarp + lane;
  const float4* row_from = row_of(slab, group0 + my_group, lane) + my_chunk * kWarp;
  // Rows that are not live are never read: bit i tells of the i-th group.
  uint32_t alive = 0;
  NF_UNROLL
  for (uint32_t i = 0; i < row_elements / threads; ++i) {
    const uint32_t group = group0 + my_group + i * apart;
    if (group < p.group_end) alive |= (live[group] >> lane & 1) << i;
  }
  const auto load = [&](uint32_t step) {
    const bool inside = step * kStepChunks + my_chunk < p.chunks;
    float4* const query_to = query_steps + (step & 1) * query_elements + threadIdx.x;
    float4* const row_to = row_steps + (step & 1) * row_elements + threadIdx.x;
    NF_UNROLL
    for (uint32_t i = 0; i < query_elements / threads; ++i)
      copy_async(query_to + i * threads, query_from + i * stride, inside);
    NF_UNROLL
    for (uint32_t i = 0; i < row_elements / threads; ++i)
      copy_async(row_to + i * threads, row_from + i * stride, inside && (alive >> i & 1) != 0);
    query_from += kStepChunks * kWarp;
    row_from += kStepChunks * kWarp;
  };
  // Element of row or query `i` strides after the thread's first, in chunk c of a step.
  const auto at = [](uint32_t i, uint32_t stride, uint32_t c) {
    return (i * stride / kWarp * kStepChunks + c) * kWarp + i * stride % kWarp;
  };

  float products[T][T];  // [query][row]
  NF_UNROLL
  for (uint32_t i = 0; i < T; ++i) {
    NF_UNROLL
    for (uint32_t j = 0; j < T; ++j) products[i][j] = 0;
  }
  const uint32_t steps = (p.chunks + kStepChunks - 1) / kStepChunks;
  load(0);
  for (uint32_t step = 0; step < steps; ++step) {
    copies_done();
    // Also: everybody has left the step before, whose memory the next copies overwrite.
    __syncthreads();
    if (step + 1 < steps) load(step + 1);
    const float4* const a = query_steps + (step & 1) * query_elements + tq;
    const float4* const b = row_steps + (step & 1) * row_elements + tv;
    NF_NO_UNROLL
    for (uint32_t c = 0; c < kStepChunks; ++c) {
      float4 q[T];
      NF_UNROLL
      for (uint32_t i = 0; i < T; ++i) q[i] = a[at(i, query_threads, c)];
      NF_UNROLL
      for (uint32_t j = 0; j < T; ++j) {
        const float4 v = b[at(j, row_threads, c)];
        NF_UNROLL
        for (uint32_t i = 0; i < T; ++i) products[i][j] = __fmaf_rn(q[i].x, v.x, products[i][j]);
        NF_UNROLL
        for (uint32_t i = 0; i < T; ++i) products[i][j] = __fmaf_rn(q[i].y, v.y, products[i][j]);
        NF_UNROLL
        for (uint32_t i = 0; i < T; ++i) products[i][j] = __fmaf_rn(q[i].z, v.z, products[i][j]);
        NF_UNROLL
        for (uint32_t i = 0; i < T; ++i) products[i][j] = __fmaf_rn(q[i].w, v.w, products[i][j]);
      }
    }
  }

  // A row that may not be returned has a NaN for its side: no comparison with it holds.
  float side[T];
  NF_UNROLL
  for (uint32_t j = 0; j < T; ++j) {
    const uint32_t row = group0 * kWarp + tv + j * row_threads, group = row / kWarp;
    const bool wanted = group < p.group_end && (live[group] >> row % kWarp & 1) != 0;
    side[j] = wanted ? sides[row] : __uint_as_float(0x7fc00000u);
  }
  uint64_t near_bits = 0;  // a bit per product
  NF_UNROLL
  for (uint32_t i = 0; i < T; ++i) {
    const uint32_t q = q0 + tq + i * query_threads;
    if (q >= p.batch) break;
    const Bound bound = bounds[q];
    const float cut = cut_of(limits[q], p.scale, bound.base);
    uint32_t near = 0;
    NF_UNROLL
    for (uint32_t j = 0; j < T; ++j)
      near |= static_cast<uint32_t>(may_be_near<METRIC>(products[i][j], side[j], bound.slope, cut)) << j;
    near_bits |= static_cast<uint64_t>(near) << (i * T);
  }
  if (__any_sync(0xffffffffu, near_bits != 0) == 0) return;  // nearly always, once the limits are tight
  const uint32_t row0 = group0 * kWarp + tv;
  NF_NO_UNROLL
  for (uint32_t i = 0; i < T; ++i) {
    const uint32_t q = q0 + tq + i * query_threads;
    uint32_t near = static_cast<uint32_t>(near_bits >> (i * T)) & ((1u << T) - 1);
    if (p.has_masks != 0) {
      for (uint32_t left = near; left != 0; left &= left - 1) {
        const uint32_t j = static_cast<uint32_t>(__ffs(static_cast<int>(left))) - 1;
        const uint32_t row = row0 + j * row_threads;
        if ((wanted_word(slab, ~0u, row / kWarp, q) >> row % kWarp & 1) == 0) near &= ~(1u << j);
      }
    }
    // One addition to a query's count for all of its lanes, which differ in bit 0 and the highest ones.
    const uint32_t count = static_cast<uint32_t>(__popc(near));
    uint32_t before = 0, total = count;
    NF_UNROLL
    for (uint32_t s = 1; s < kWarp; s = s == 1 ? 2 * across : 2 * s) {
      const uint32_t other = __shfl_xor_sync(0xffffffffu, total, s);
      if ((lane & s) != 0) before += other;
      total += other;
    }
    uint32_t slot = 0;
    if (rl == 0 && total != 0) slot = atomicAdd(&counts[q], total);
    slot = __shfl_sync(0xffffffffu, slot, 2 * ql) + before;
    for (; near != 0; near &= near - 1, ++slot) {
      const uint32_t j = static_cast<uint32_t>(__ffs(static_cast<int>(near))) - 1;
      if (slot < p.capacity)
        candidates[static_cast<uint64_t>(q) * p.capacity + slot] = p.first_row + row0 + j * row_threads;
    }
  }
}

}  // namespace nearfield::cuda
