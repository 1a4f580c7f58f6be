// SPDX-License-Identifier: Apache-2.0
// Products of 64 queries with 64 rows by simdgroup matrices, keeping the rows that the certificate cannot
// rule out (kernel_params.h: Bound). `rescore` computes their canonical ranks.
#ifndef NEARFIELD_METAL_MATRIX_H
#define NEARFIELD_METAL_MATRIX_H

#include "distance.h"
#include "fragment.h"

namespace nearfield {
namespace kernels {

// A threadgroup's tile. Each of its four simdgroups has a quarter of 32 queries by 32 rows, 4 x 4 fragments:
// 32 of a lane's registers, and 16 products per 8 fragments loaded.
constant constexpr uint QUERY_TILE = 64;  // what QUERIES is
constant constexpr uint ROW_TILE = 64;
constant constexpr uint FRAGMENTS = 4;  // along one side of a quarter
// Dimensions staged at a time. 16 keep the threadgroup's memory under 9 KiB, so that three fit a core's 32
// KiB.
constant constexpr uint STAGE_CHUNKS = 4;
constant constexpr uint STAGE_DIMS = STAGE_CHUNKS * 4;
// From one dimension to the next, in floats: 4 beyond the tile, so that the rows of a fragment lie in
// different banks.
constant constexpr uint STAGE_STRIDE = 68;
// Products of 32 rows on their way to the lanes that judge them, from one query to the next: two lanes of a
// simdgroup meet in a bank, and the floats are as many as those staged.
constant constexpr uint PRODUCT_STRIDE = 34;
constant constexpr uint STAGE_FLOATS = 2 * STAGE_DIMS * STAGE_STRIDE;
constant constexpr uint PRODUCT_FLOATS = QUERY_TILE * PRODUCT_STRIDE;
constant constexpr uint SHARED_FLOATS = STAGE_FLOATS > PRODUCT_FLOATS ? STAGE_FLOATS : PRODUCT_FLOATS;

// All lanes: dimensions [4 first, 4 first + STAGE_DIMS) of 64 tile32 rows from group `group`, transposed;
// zeros from `chunks` on and for a lane's row, lane % 64, where it is not `present`.
inline void stage(device const float4* from, uint group, bool present, uint first, uint chunks, uint lane,
                  threadgroup float* to) {
  const uint row = lane % ROW_TILE;
  device const float4* at = from + ulong(group + row / 32) * chunks * 32 + row % 32;
  for (uint chunk = lane / ROW_TILE; chunk < STAGE_CHUNKS; chunk += LANES / ROW_TILE) {
    float4 v = float4(0.0f);
    if (present && first + chunk < chunks) v = at[(first + chunk) * 32];
    threadgroup float* column = to + chunk * 4 * STAGE_STRIDE + row;
    column[0] = v.x;
    column[STAGE_STRIDE] = v.y;
    column[2 * STAGE_STRIDE] = v.z;
    column[3 * STAGE_STRIDE] = v.w;
  }
}

// queries: tile32, whole query tiles. bounds: per query base and slope; limits: keys; counts: [batch];
// candidates: [batch][capacity].
template <int METRIC, uint QUERIES, uint CAPACITY>
[[kernel]] void matrix(constant MatrixParams& p [[buffer(0)]], device const float4* vectors [[buffer(1)]],
                       device const float* sides [[buffer(2)]], device const uint* live [[buffer(3)]],
                       device const float4* queries [[buffer(4)]], device const uint* masks [[buffer(5)]],
                       device const float2* bounds [[buffer(6)]], device const uint* limits [[buffer(7)]],
                       device atomic_uint* counts [[buffer(8)]], device uint* candidates [[buffer(9)]],
                       uint3 group [[threadgroup_position_in_grid]],
                       uint lane [[thread_index_in_threadgroup]],
                       uint quarter [[simdgroup_index_in_threadgroup]]) {
  NF_SHARED(float, shared, SHARED_FLOATS);
  const uint index = group.x + group.y * p.grid_x;
  if (index >= p.workgroups) return;
  const uint first_query = index % p.query_tiles * QUERY_TILE;
  const uint first_group = p.group_begin + index / p.query_tiles * (ROW_TILE / 32);
  threadgroup float* staged_queries = shared;
  threadgroup float* staged_rows = shared + STAGE_DIMS * STAGE_STRIDE;
  // Only live rows are read: what is not was perhaps never written.
  const uint staged_group = first_group + lane % ROW_TILE / 32;
  const bool present = staged_group < p.group_end && ((live[staged_group] >> (lane % 32)) & 1) != 0;
  const uint query_half = quarter / 2;
  const uint row_half = quarter % 2;

  Fragment sums[FRAGMENTS][FRAGMENTS];
  NF_UNROLL
  for (uint i = 0; i < FRAGMENTS; ++i) {
    NF_UNROLL
    for (uint j = 0; j < FRAGMENTS; ++j) {
      sums[i][j] = zero_fragment();
    }
  }
  for (uint first = 0; first < p.chunks; first += STAGE_CHUNKS) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    stage(queries, first_query / 32, true, first, p.chunks, lane, staged_queries);
    stage(vectors, first_group, present, first, p.chunks, lane, staged_rows);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint d = 0; d < STAGE_DIMS; d += 8) {
      Fragment q[FRAGMENTS];
      Fragment v[FRAGMENTS];
      NF_UNROLL
      for (uint i = 0; i < FRAGMENTS; ++i) {
        load_transposed(q[i], staged_queries + d * STAGE_STRIDE + query_half * 32 + i * 8, STAGE_STRIDE);
        load(v[i], staged_rows + d * STAGE_STRIDE + row_half * 32 + i * 8, STAGE_STRIDE);
      }
      NF_UNROLL
      for (uint i = 0; i < FRAGMENTS; ++i) {
        NF_UNROLL
        for (uint j = 0; j < FRAGMENTS; ++j) {
          multiply_accumulate(sums[i][j], q[i], v[j]);
        }
      }
    }
  }

  // A lane judges 16 rows of each group for one query.
  const uint mine = lane % QUERY_TILE;
  const uint query = first_query + mine;
  const uint first_bit = lane / QUERY_TILE * 16;
  float cut = 0.0f;
  float slope = 0.0f;
  bool all = true;
  if (query < p.batch) {
    const uint limit = limits[query];
    all = limit == NEARFIELD_EMPTY;
    const float c = all ? 0.0f : fma(rank_of(limit), p.scale, bounds[query].x);
    cut = c + fabs(c) * (1.0f / (1 << 22));
    slope = bounds[query].y;
  }
  for (uint half_tile = 0; half_tile < 2; ++half_tile) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (row_half == half_tile) {
      NF_UNROLL
      for (uint i = 0; i < FRAGMENTS; ++i) {
        NF_UNROLL
        for (uint j = 0; j < FRAGMENTS; ++j) {
          store(sums[i][j], shared + (query_half * 32 + i * 8) * PRODUCT_STRIDE + j * 8, PRODUCT_STRIDE);
        }
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const uint g = first_group + half_tile;
    if (query >= p.batch || g >= p.group_end) continue;
    uint word = live[g];
    if (p.has_masks != 0 && word != 0) {
      const uint offset = masks[query];
      if (offset != NEARFIELD_EMPTY) word &= masks[ulong(offset) + (p.first_row >> 5) + g];
    }
    uint kept = 0;
    for (uint r = first_bit; r < first_bit + 16; ++r) {
      if (((word >> r) & 1) == 0) continue;
      const float product = shared[mine * PRODUCT_STRIDE + r];
      const float side = sides[ulong(g) * 32 + r];
      const float x = METRIC == COSINE ? -(side * product) : fma(slope, side, -product);
      if (all || x <= cut) kept |= 1u << r;
    }
    if (kept == 0) continue;
    uint slot = atomic_fetch_add_explicit(&counts[query], popcount(kept), memory_order_relaxed);
    for (; kept != 0 && slot < p.capacity; kept &= kept - 1)
      candidates[ulong(query) * p.capacity + slot++] = p.first_row + g * 32 + ctz(kept);
  }
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_MATRIX_H
