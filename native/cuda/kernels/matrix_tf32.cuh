// SPDX-License-Identifier: Apache-2.0
// Bounds of the ranks of a tile of rows by a tile of queries as TF32, by the matrix units (kernel_params.h:
// CodedProductParams). No product is stored: a row that a query's limit cannot rule out becomes a candidate.
//
// A warp owns 64 queries by 64 rows. Of the eight dimensions of a product, k = t and t + 4 are the first two
// (or last two) elements of chunk t of four; which dimension is which k is all the same to a sum, if rows and
// queries agree. So the 16 bytes that a lane 4g + t reads of chunk t of row g are its registers of B for two
// products; queries were laid out by `residual` so that 16 bytes are its registers of A for one.
#pragma once

#include "mma.cuh"
#include "product_bounds.cuh"
#include "rows.cuh"
#include "shapes.h"

namespace nearfield::cuda {

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
inline constexpr uint32_t kTf32WarpRows = 64, kTf32WarpQueries = 64;
inline constexpr uint32_t kTf32Queries = kTf32WarpQueries / 8;  // of a lane: query 8i + g of the warp's
inline constexpr uint32_t kTf32Columns = kTf32WarpRows / 8;     // of products; a lane has two rows of each

// Block: a tile of kTf32QueryTile queries by kTf32RowTile rows, several tiles of rows one after the other.
template <int METRIC>
__device__ inline void matrix_tf32(const CodedProductParams& p, const float4* vectors, const float* sides,
                                   const uint32_t* live, const uint32_t* masks, const float4* queries,
                                   const Tf32Values* row_values, const Tf32Values* query_values,
                                   const ProductQuery* terms, const uint32_t* limits, uint32_t* counts,
                                   uint32_t* candidates) {
  constexpr uint32_t warps = kTf32Threads / kWarp, query_warps = kTf32QueryTile / kTf32WarpQueries;
  constexpr uint32_t row_groups = kTf32RowTile / kWarp, query_groups = kTf32QueryTile / kWarp;
  constexpr uint32_t copied_apart = warps / kTf32Step;  // groups between two copies of a thread
  NF_DYNAMIC_SHARED(float4, steps_of);                  // kTf32Stages of the rows' chunks, then the queries'
  NF_SHARED(PairTest, tests, kTf32QueryTile);
  NF_SHARED(Tf32Values, values_of, kTf32QueryTile);
  NF_SHARED(uint32_t, leasts, warps * kTf32WarpQueries);  // of a sample: each warp's own

  const uint32_t block = blockIdx.x + blockIdx.y * p.grid_x;
  if (block >= p.workgroups) return;
  const uint32_t q0 = block % p.query_tiles * kTf32QueryTile;
  const uint32_t tile0 = block / p.query_tiles * p.tiles_per_workgroup;
  const uint32_t tile_end = tile0 + p.tiles_per_workgroup < p.tiles ? tile0 + p.tiles_per_workgroup : p.tiles;
  const uint32_t warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const uint32_t g = lane / 4, t = lane % 4;
  const uint32_t first_query = warp % query_warps * kTf32WarpQueries;  // of the warp, in the tile
  const uint32_t first_row = warp / query_warps * kTf32WarpRows;
  const uint32_t chunks = p.level_chunks, steps = (chunks + kTf32Step - 1) / kTf32Step;
  const Slab slab{vectors, sides, live, masks, chunks, p.first_row, p.has_masks};

  for (uint32_t i = threadIdx.x; i < kTf32QueryTile; i += kTf32Threads) {
    const uint32_t q = q0 + i < p.batch ? q0 + i : p.batch - 1;
    values_of[i] = query_values[q];
    tests[i] = pair_test<METRIC>(p, coded_of(values_of[i], 1), terms[q], limits[q]);
  }

  // A thread copies the same chunk of a step of every `copied_apart`-th group.
  const uint32_t my_chunk = warp % kTf32Step, my_group = warp / kTf32Step;
  const uint32_t copied_stride = copied_apart * chunks * kWarp;
  const auto chunk_of = [&](const float4* from, uint32_t group) {
    return from + (static_cast<uint64_t>(group) * chunks + my_chunk) * kWarp + lane;
  };
  uint32_t next_tile = tile0, next_step = 0, next_stage = 0, groups_there = 0;
  const float4 *row_from = nullptr, *query_from = nullptr;
  const auto load = [&] {
    if (next_tile < tile_end) {
      if (next_step == 0) {
        const uint32_t group = p.group_begin + next_tile * p.apart + my_group;
        row_from = chunk_of(vectors, group);
        query_from = chunk_of(queries, q0 / kWarp + my_group);
        groups_there = 0;
        NF_UNROLL
        for (uint32_t i = 0; i < row_groups / copied_apart; ++i)
          groups_there |= static_cast<uint32_t>(group + i * copied_apart < p.group_end) << i;
      }
      const bool inside = next_step * kTf32Step + my_chunk < chunks;
      float4* const stage = steps_of + next_stage * kTf32StageElements + my_group * kWarp + lane;
      NF_UNROLL
      for (uint32_t i = 0; i < row_groups / copied_apart; ++i)
        copy_async(stage + my_chunk * kTf32RowStride + i * copied_apart * kWarp, row_from + i * copied_stride,
                   inside && (groups_there >> i & 1) != 0);
      NF_UNROLL
      for (uint32_t i = 0; i < query_groups / copied_apart; ++i)
        copy_async(
            stage + kTf32Step * kTf32RowStride + my_chunk * kTf32QueryStride + i * copied_apart * kWarp,
            query_from + i * copied_stride, inside);
      row_from += kTf32Step * kWarp;
      query_from += kTf32Step * kWarp;
      next_stage = next_stage + 1 == kTf32Stages ? 0 : next_stage + 1;
      if (++next_step == steps) ++next_tile, next_step = 0;
    }
    copies_commit();
  };

  uint32_t* const least = leasts + warp * kTf32WarpQueries;
  for (uint32_t i = lane; i < kTf32WarpQueries; i += kWarp) least[i] = NEARFIELD_EMPTY;

  // Of the lane's queries: bit i tells of query 8i + g of the warp's.
  uint32_t asked = 0;
  NF_UNROLL
  for (uint32_t i = 0; i < kTf32Queries; ++i)
    asked |= static_cast<uint32_t>(q0 + first_query + 8 * i + g < p.batch) << i;

  uint32_t stage = 0;
  NF_UNROLL
  for (uint32_t i = 0; i + 1 < kTf32Stages; ++i) load();
  for (uint32_t tile = tile0; tile < tile_end; ++tile) {
    const uint32_t group0 = p.group_begin + tile * p.apart + first_row / kWarp;
    uint32_t any_live = 0;
    NF_UNROLL
    for (uint32_t i = 0; i < kTf32WarpRows / kWarp; ++i)
      if (group0 + i < p.group_end) any_live |= live[group0 + i];
    const bool has_pairs = any_live != 0 && q0 + first_query < p.batch;
    float sums[kTf32Queries / 2][kTf32Columns][4];  // of 16 queries by 8 rows
    NF_UNROLL
    for (uint32_t i = 0; i < kTf32Queries / 2; ++i) {
      NF_UNROLL
      for (uint32_t j = 0; j < kTf32Columns; ++j) {
        NF_UNROLL
        for (uint32_t e = 0; e < 4; ++e) sums[i][j][e] = 0;
      }
    }
    NF_NO_UNROLL
    for (uint32_t step = 0; step < steps; ++step) {
      copies_wait<kTf32Stages - 2>();
      // Also: everybody has left the stage that the next copies overwrite.
      __syncthreads();
      load();
      const float4* const from = steps_of + stage * kTf32StageElements + g;
      const float4* const rows = from + t * kTf32RowStride + first_row;
      const float4* const columns = from + kTf32Step * kTf32RowStride + t * kTf32QueryStride + first_query;
      stage = stage + 1 == kTf32Stages ? 0 : stage + 1;
      if (!has_pairs) continue;
      float4 left[kTf32Queries];  // of 16 queries, of the first and of the last two elements of a chunk
      NF_UNROLL
      for (uint32_t i = 0; i < kTf32Queries; ++i) left[i] = columns[8 * i];
      NF_UNROLL
      for (uint32_t j = 0; j < kTf32Columns; ++j) {
        const float4 right = rows[8 * j];
        const uint32_t halves[2][2] = {{__float_as_uint(right.x), __float_as_uint(right.y)},
                                       {__float_as_uint(right.z), __float_as_uint(right.w)}};
        NF_UNROLL
        for (uint32_t h = 0; h < 2; ++h) {
          NF_UNROLL
          for (uint32_t i = 0; i < kTf32Queries / 2; ++i) {
            const float4& a = left[2 * i + h];
            const uint32_t fragment[4] = {__float_as_uint(a.x), __float_as_uint(a.y), __float_as_uint(a.z),
                                          __float_as_uint(a.w)};
            mma_tf32(sums[i][j], fragment, halves[h]);
          }
        }
      }
    }

    // What is left of the test of each query.
    PairTest test[kTf32Queries];
    uint32_t keeps_all = 0;
    NF_UNROLL
    for (uint32_t i = 0; i < kTf32Queries; ++i) {
      test[i] = tests[first_query + 8 * i + g];
      keeps_all |= static_cast<uint32_t>(p.is_sample != 0 || test[i].keeps_all != 0) << i;
    }
    const auto row_of_slab = [&](uint32_t j, uint32_t e) { return group0 * kWarp + 8 * j + 2 * t + e; };
    const auto coded_row = [&](uint32_t row) {
      return coded_of(row_values[row], METRIC == kCosine ? __ldg(&sides[row]) : 1.0f);
    };
    float errors[kTf32Columns][2], row_terms[kTf32Columns][2], scales[kTf32Columns][2];
    uint32_t wanted = 0;
    NF_UNROLL
    for (uint32_t j = 0; j < kTf32Columns; ++j) {
      NF_UNROLL
      for (uint32_t e = 0; e < 2; ++e) {
        const uint32_t row = row_of_slab(j, e), group = row / kWarp;
        const bool is_there = has_pairs && group < p.group_end;
        if (is_there) wanted |= (live[group] >> row % kWarp & 1) << (2 * j + e);
        const Coded mine = is_there ? coded_row(row) : Coded{};
        errors[j][e] = mine.error;
        row_terms[j][e] = row_term<METRIC>(p, mine);
        scales[j][e] = mine.scale;  // of cosine; else nobody reads it
      }
    }
    NF_UNROLL
    for (uint32_t j = 0; j < kTf32Columns; ++j) {
      NF_UNROLL
      for (uint32_t e = 0; e < 2; ++e) {
        const auto sum = [&](uint32_t i) { return sums[i / 2][j][i % 2 * 2 + e]; };
        uint32_t near = keeps_all;
        NF_UNROLL
        for (uint32_t i = 0; i < kTf32Queries; ++i) {
          const float dots = METRIC == kCosine ? __fmul_rn(sum(i), scales[j][e]) : sum(i);
          near |= static_cast<uint32_t>(may_stay<METRIC>(test[i], dots, errors[j][e], row_terms[j][e], 0.0f))
                  << i;
        }
        near &= (wanted >> (2 * j + e) & 1) != 0 ? asked : 0;
        NF_NO_UNROLL
        for (; near != 0; near &= near - 1) {
          const uint32_t i = static_cast<uint32_t>(__ffs(static_cast<int>(near))) - 1;
          const uint32_t in_tile = first_query + 8 * i + g, q = q0 + in_tile, row = row_of_slab(j, e);
          if (p.has_masks != 0 && (wanted_word(slab, ~0u, row / kWarp, q) >> row % kWarp & 1) == 0) continue;
          float dot = 0;
          NF_UNROLL
          for (uint32_t r = 0; r < kTf32Queries; ++r)
            if (r == i) dot = sum(r);
          // Read again: rows that stay are few, and registers are short.
          const RankBounds bounds =
              rank_bounds<METRIC>(p, coded_row(row), 0.0f, coded_of(values_of[in_tile], 1), terms[q], dot);
          if (p.is_sample == 0)
            put_candidate(p, counts, candidates, q, p.first_row + row, bounds);
          else
            atomicMin(&least[8 * i + g], rank_key(bounds.upper));
        }
      }
    }
    if (p.is_sample == 0) continue;
    __syncwarp();
    const uint32_t part = p.part_base + tile * (kTf32RowTile / kTf32WarpRows) + first_row / kTf32WarpRows;
    for (uint32_t i = lane; i < kTf32WarpQueries; i += kWarp) {
      const uint32_t q = q0 + first_query + i;
      if (q < p.batch) candidates[static_cast<uint64_t>(q) * p.part_stride + part] = least[i];
      least[i] = NEARFIELD_EMPTY;
    }
    __syncwarp();
  }
}
#endif

}  // namespace nearfield::cuda
