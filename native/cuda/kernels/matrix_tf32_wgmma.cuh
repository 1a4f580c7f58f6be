// SPDX-License-Identifier: Apache-2.0
// matrix_tf32 by products of warpgroups, of compute capability 9.0a: the same tiles, bounds and buffers.
//
// Two warpgroups multiply, each 64 queries of the tile by all of its 256 rows; one thread of a third copies
// boxes of both from where they lie in tile32 (queries as `residual` rounds them, NEARFIELD_QUERY_TILES),
// each to a stage of a ring. `full` says that a stage's boxes are there, `empty` that all warps have left it.
// Where all steps of a tile have stages of their own, what a tile has in common with the one before, its rows
// or its queries, stays there; then the warpgroups take turns as well: while one multiplies, the other one
// tests what it has multiplied.
#pragma once

#include "product_bounds.cuh"
#include "rows.cuh"
#include "shapes.h"
#include "wgmma.cuh"

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
namespace nearfield::cuda {

// Registers of a thread that copies and of one that multiplies; 168 at the launch, 65,536 of all.
inline constexpr uint32_t kWgmmaCopyRegisters = 56, kWgmmaRegisters = 224;

inline constexpr uint32_t kWgmmaWarps = kWgmmaGroups * kWarpgroup / kWarp;
inline constexpr uint32_t kGroupQueries = kTf32QueryTile / kWgmmaGroups,
                          kWgmmaWarpQueries = kTf32QueryTile / kWgmmaWarps;
inline constexpr uint32_t kRowBoxLines = kBoxBytes / sizeof(BulkLine),
                          kQueryBoxLines = kQueryBoxBytes / sizeof(BulkLine);
// Of a tile's rows in a sample; also of what is tested at once. A column is 8 rows, a lane has two of each.
inline constexpr uint32_t kWgmmaParts = 4, kPartColumns = kTf32RowTile / kWgmmaParts / 8;

// A pair of tiles, in the order in which blocks take them: those of a tile of rows one after the other.
struct WgmmaTile {
  uint32_t tile, query_tile, group0;

  __device__ inline WgmmaTile(const CodedProductParams& p, uint32_t number)
      : tile(number / p.query_tiles),
        query_tile(number % p.query_tiles),
        group0(p.group_begin + tile * p.apart) {}

  __device__ inline bool is_live(const CodedProductParams& p, const uint32_t* live) const {
    uint32_t any = 0;
    NF_UNROLL
    for (uint32_t i = 0; i < kBoxGroups; ++i)
      if (group0 + i < p.group_end) any |= live[group0 + i];
    return any != 0;
  }
};

// Steps of a tile, and the stages that they go round.
struct WgmmaRing {
  uint32_t steps, stages;
  bool stays;  // each step has its own

  __device__ inline explicit WgmmaRing(const CodedProductParams& p)
      : steps((p.level_chunks + kBoxChunks - 1) / kBoxChunks),
        stages(steps <= kWgmmaStages ? steps : kWgmmaStages),
        stays(steps <= kWgmmaStages) {}
};

// A stage of the ring, and the parity of its phase.
struct WgmmaStage {
  uint32_t stage = 0, parity;

  __device__ inline void next(const WgmmaRing& ring) {
    if (++stage == ring.stages) stage = 0, parity ^= 1;
  }
};

// By one thread: the boxes of `count` pairs of tiles.
__device__ inline void copy_boxes(const CodedProductParams& p, const TensorMap& row_map,
                                  const TensorMap& query_map, const uint32_t* live, uint32_t begin,
                                  uint32_t count, BulkLine* boxes, uint64_t* full, uint64_t* empty) {
  const WgmmaRing ring(p);
  BulkLine* const query_boxes = boxes + kWgmmaStages * kRowBoxLines;
  WgmmaStage at{0, 1};  // nobody was there before
  uint32_t tile_there = ~0u, queries_there = ~0u;
  for (uint32_t nth = 0; nth < count; ++nth) {
    const WgmmaTile t(p, begin + nth);
    if (!t.is_live(p, live)) continue;
    const bool copies_rows = !ring.stays || t.tile != tile_there;
    const bool copies_queries = !ring.stays || t.query_tile != queries_there;
    tile_there = t.tile;
    queries_there = t.query_tile;
    for (uint32_t step = 0; step < ring.steps; ++step, at.next(ring)) {
      const auto chunk = static_cast<int32_t>(step * kBoxChunks);
      uint64_t* const barrier = &full[at.stage];
      mbarrier_wait(&empty[at.stage], at.parity);
      mbarrier_expect(barrier, (copies_rows ? kBoxBytes : 0) + (copies_queries ? kQueryBoxBytes : 0));
      if (copies_rows)
        bulk_copy(boxes + at.stage * kRowBoxLines, row_map, 0, static_cast<int32_t>(t.group0), chunk,
                  barrier);
      if (copies_queries)
        bulk_copy(query_boxes + at.stage * kQueryBoxLines, query_map, 0,
                  static_cast<int32_t>(t.query_tile * kQueryBoxGroups), chunk, barrier);
    }
  }
}

// What the tests want of the rows of a tile, two rows an element: error, row_term, error, row_term; norms, -1
// of rows that are not live; of cosine scales.
template <int METRIC>
struct WgmmaRows {
  float4* terms;
  float2 *norms, *scales;

  // By a warp.
  __device__ inline void put(const CodedProductParams& p, const WgmmaTile& tile, const uint32_t* live,
                             const Tf32Values* values, const float* sides) const {
    for (uint32_t i = threadIdx.x % kWarp; i < kTf32RowTile / 2; i += kWarp) {
      const uint32_t row = tile.group0 * kWarp + 2 * i, group = row / kWarp;
      const uint32_t wanted = group < p.group_end ? live[group] >> row % kWarp : 0;
      Coded two[2];
      float of_two[2];
      NF_UNROLL
      for (uint32_t e = 0; e < 2; ++e) {
        if ((wanted >> e & 1) != 0) {
          two[e] = coded_of(values[row + e], METRIC == kCosine ? __ldg(&sides[row + e]) : 1.0f);
          of_two[e] = row_term<METRIC>(p, two[e]);
        } else {
          two[e] = {0, -1, 0, false};
          of_two[e] = -__uint_as_float(0x7f800000u);
        }
      }
      terms[i] = {two[0].error, of_two[0], two[1].error, of_two[1]};
      norms[i] = {two[0].norm, two[1].norm};
      if (METRIC == kCosine) scales[i] = {two[0].scale, two[1].scale};
    }
  }
  __device__ inline Coded at(uint32_t in_tile) const {
    const uint32_t two = in_tile / 2;
    const bool second = in_tile % 2 != 0;
    const float scale = METRIC != kCosine ? 1.0f : second ? scales[two].y : scales[two].x;
    return {scale, second ? norms[two].y : norms[two].x, second ? terms[two].z : terms[two].x, false};
  }
};

// A query as the tests want it.
struct WgmmaQuery {
  uint32_t q, limit;
  Tf32Values values;
  ProductQuery terms;
};

// Of two in registers: each field by itself.
__device__ inline WgmmaQuery either(const WgmmaQuery& a, const WgmmaQuery& b, bool second) {
  return {second ? b.q : a.q,
          second ? b.limit : a.limit,
          {second ? b.values.norm : a.values.norm, second ? b.values.error : a.values.error},
          {second ? b.terms.norm : a.terms.norm, second ? b.terms.offset : a.terms.offset,
           second ? b.terms.addend : a.terms.addend, 0}};
}

// sums[i] of registers: i is known at run time only.
template <uint32_t FIRST, uint32_t COUNT>
__device__ inline float sum_at(const float (&sums)[kWgmmaSums], uint32_t i) {
  if constexpr (COUNT == 1) {
    return sums[FIRST];
  } else {
    const float low = sum_at<FIRST, COUNT / 2>(sums, i), high = sum_at<FIRST + COUNT / 2, COUNT / 2>(sums, i);
    return (i & COUNT / 2) != 0 ? high : low;
  }
}

// Of a sample: the least upper bound of each part for a lane's queries.
template <int METRIC>
__device__ inline void write_least(const CodedProductParams& p, const Slab& slab, const WgmmaTile& of,
                                   const WgmmaRows<METRIC>& rows, const WgmmaQuery (&mine)[2],
                                   const float (&sums)[kWgmmaSums], uint32_t* candidates) {
  const uint32_t t = threadIdx.x % 4;
  NF_UNROLL
  for (uint32_t part = 0; part < kWgmmaParts; ++part) {
    NF_UNROLL
    for (uint32_t h = 0; h < 2; ++h) {
      uint32_t least = NEARFIELD_EMPTY;
      if (mine[h].q < p.batch) {
        NF_UNROLL
        for (uint32_t c = 0; c < kPartColumns; c += 4) {
          const uint32_t column = part * kPartColumns + c, group = of.group0 + column / 4;
          const uint32_t wanted =
              group < p.group_end ? wanted_word(slab, slab.live[group], group, mine[h].q) : 0;
          NF_UNROLL
          for (uint32_t i = 0; i < 8; ++i) {
            const float dot = sums[4 * (column + i / 2) + 2 * h + i % 2];
            const uint32_t bit = 8 * (i / 2) + 2 * t + i % 2;
            const RankBounds bounds = rank_bounds<METRIC>(p, rows.at(column * 8 + bit), 0.0f,
                                                          coded_of(mine[h].values, 1), mine[h].terms, dot);
            const uint32_t key = rank_key(bounds.upper);
            if ((wanted >> bit & 1) != 0 && key < least) least = key;
          }
        }
      }
      NF_UNROLL
      for (int bits = 1; bits <= 2; bits *= 2) {
        const uint32_t other = __shfl_xor_sync(~0u, least, bits);
        if (other < least) least = other;
      }
      if (t == 0 && mine[h].q < p.batch)
        candidates[static_cast<uint64_t>(mine[h].q) * p.part_stride + p.part_base + of.tile * kWgmmaParts +
                   part] = least;
    }
  }
}

// Block: `tiles_per_workgroup` pairs of a tile of rows and a tile of queries, one after the other.
template <int METRIC>
__device__ inline void matrix_tf32_wgmma(const CodedProductParams& p, const TensorMap& row_map,
                                         const TensorMap& query_map, const float4* vectors,
                                         const float* sides, const uint32_t* live, const uint32_t* masks,
                                         const Tf32Values* row_values, const Tf32Values* query_values,
                                         const ProductQuery* terms, const uint32_t* limits, uint32_t* counts,
                                         uint32_t* candidates) {
  NF_DYNAMIC_SHARED(BulkLine, boxes);  // the stages' rows, then their queries
  NF_SHARED(uint64_t, full, kWgmmaStages);
  NF_SHARED(uint64_t, empty, kWgmmaStages);
  NF_SHARED(uint64_t, turns, kWgmmaGroups);
  // WgmmaRows, each warp's own.
  NF_SHARED(float4, terms_of_rows, kWgmmaWarps * kTf32RowTile / 2);
  NF_SHARED(float2, norms_of_rows, kWgmmaWarps * kTf32RowTile / 2);
  NF_SHARED(float2, scales_of_rows, METRIC == kCosine ? kWgmmaWarps * kTf32RowTile / 2 : 1);

  const uint32_t block = blockIdx.x + blockIdx.y * p.grid_x, numbers = p.tiles * p.query_tiles;
  const uint32_t begin = block * p.tiles_per_workgroup;
  if (block >= p.workgroups || begin >= numbers) return;
  const uint32_t count = numbers - begin < p.tiles_per_workgroup ? numbers - begin : p.tiles_per_workgroup;
  const WgmmaRing ring(p);
  const BulkLine* const query_boxes = boxes + kWgmmaStages * kRowBoxLines;
  if (threadIdx.x == 0) {
    for (uint32_t i = 0; i < kWgmmaStages; ++i) {
      mbarrier_init(&full[i], 1);
      mbarrier_init(&empty[i], kWgmmaWarps);
    }
    for (uint32_t i = 0; i < kWgmmaGroups; ++i) mbarrier_init(&turns[i], kWarpgroup / kWarp);
    mbarriers_made();
  }
  __syncthreads();

  const uint32_t warpgroup = threadIdx.x / kWarpgroup;
  if (warpgroup == kWgmmaGroups) {
    keep_registers<kWgmmaCopyRegisters>();
    if (threadIdx.x % kWarpgroup != 0) return;
    copy_boxes(p, row_map, query_map, live, begin, count, boxes, full, empty);
    return;
  }

  take_registers<kWgmmaRegisters>();
  const uint32_t warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const uint32_t g = lane / 4, t = lane % 4;
  const Slab slab{vectors, sides, live, masks, p.level_chunks, p.first_row, p.has_masks};
  constexpr uint32_t of_warp = kTf32RowTile / 2;
  const WgmmaRows<METRIC> rows{terms_of_rows + warp * of_warp, norms_of_rows + warp * of_warp,
                               scales_of_rows + (METRIC == kCosine ? warp * of_warp : 0)};
  const auto arrive = [&](uint64_t* barrier) {  // of the warp
    __syncwarp();
    if (lane == 0) mbarrier_arrive(barrier);
  };

  float sums[kWgmmaSums];
  NF_UNROLL
  for (uint32_t i = 0; i < kWgmmaSums; ++i) sums[i] = 0;
  WgmmaStage at{0, 0};
  uint32_t tile_there = ~0u, turn = 0;
  bool is_live = false;
  for (uint32_t nth = 0; nth < count; ++nth) {
    const WgmmaTile of(p, begin + nth);
    const uint32_t q0 = of.query_tile * kTf32QueryTile + warp * kWgmmaWarpQueries;  // the warp's
    if (of.tile != tile_there) {
      tile_there = of.tile;
      is_live = of.is_live(p, live);
      __syncwarp();  // nobody reads those of the tile before any more
      rows.put(p, of, live, row_values, sides);
      __syncwarp();
    }

    // Asked for before the products, used after them. A lane's queries are q0 + g and q0 + g + 8.
    WgmmaQuery mine[2];
    NF_UNROLL
    for (uint32_t h = 0; h < 2; ++h) {
      const uint32_t q = q0 + g + 8 * h;
      const uint32_t read = q < p.batch ? q : p.batch - 1;
      mine[h] = {q, limits[read], query_values[read], terms[read]};
    }

    if (is_live) {
      const bool multiplies = of.query_tile * kTf32QueryTile + warpgroup * kGroupQueries < p.batch;
      if (ring.stays) mbarrier_wait(&turns[warpgroup], (turn & 1) ^ (warpgroup == 0 ? 1 : 0));
      ++turn;
      uint32_t last = 0;  // stage that products may still read
      wgmma_registers(sums);
      NF_NO_UNROLL
      for (uint32_t step = 0; step < ring.steps; ++step, at.next(ring)) {
        mbarrier_wait(&full[at.stage], at.parity);
        if (multiplies) {
          uint64_t a =
              wgmma_operand(query_boxes + at.stage * kQueryBoxLines + warpgroup * (kGroupQueries / 8),
                            kTf32QueryTile * 16, kCoreMatrixBytes);
          uint64_t b = wgmma_operand(boxes + at.stage * kRowBoxLines, kBoxChunkBytes, kCoreMatrixBytes);
          wgmma_fence();
          NF_UNROLL
          for (uint32_t chunk = 0; chunk < kBoxChunks; chunk += 2) {
            wgmma_tf32(sums, a, b, step != 0 || chunk != 0);
            a += 2 * kTf32QueryTile * 16 / 16;
            b += 2 * kBoxChunkBytes / 16;
          }
          wgmma_commit();
          wgmma_wait<1>();
        }
        if (step != 0) arrive(&empty[last]);
        last = at.stage;
      }
      if (ring.stays) arrive(&turns[kWgmmaGroups - 1 - warpgroup]);
      wgmma_wait<0>();
      wgmma_registers(sums);
      arrive(&empty[last]);
    }

    if (q0 >= p.batch) continue;
    if (p.is_sample != 0) {
      write_least(p, slab, of, rows, mine, sums, candidates);
      continue;
    }
    if (!is_live) continue;

    PairTest test[2];
    uint32_t asked = 0, keeps_all = 0;  // of bits 4 c + 2 h + e: column c of a part, row e and query h
    NF_UNROLL
    for (uint32_t h = 0; h < 2; ++h) {
      test[h] = pair_test<METRIC>(p, coded_of(mine[h].values, 1), mine[h].terms, mine[h].limit);
      const uint32_t bits = 0x33333333u << (2 * h);
      if (mine[h].q < p.batch) asked |= bits;
      if (test[h].keeps_all != 0) keeps_all |= bits;
    }
    uint32_t near[kWgmmaParts];  // the pairs that stay: bits in the order of the sums
    NF_UNROLL
    for (uint32_t part = 0; part < kWgmmaParts; ++part) {
      const auto is_near = [&](uint32_t i) {
        const uint32_t two = 4 * (part * kPartColumns + i / 4) + t, h = i / 2 % 2;
        const float4 both = rows.terms[two];
        float dots = sums[part * 32 + i];
        if (METRIC == kCosine) dots = __fmul_rn(dots, i % 2 == 0 ? rows.scales[two].x : rows.scales[two].y);
        return may_stay<METRIC>(test[h], dots, i % 2 == 0 ? both.x : both.z, i % 2 == 0 ? both.y : both.w,
                                0.0f);
      };
      // Whether any, one comparison each; which ones, seldom.
      bool any = keeps_all != 0;
      NF_UNROLL
      for (uint32_t i = 0; i < 32; ++i) any |= is_near(i);
      near[part] = 0;
      if (!any) continue;
      uint32_t bits = keeps_all;
      NF_UNROLL
      for (uint32_t i = 0; i < 32; ++i) bits |= static_cast<uint32_t>(is_near(i)) << i;
      near[part] = bits & asked;
    }
    NF_NO_UNROLL
    while ((near[0] | near[1] | near[2] | near[3]) != 0) {
      uint32_t first = 0;
      NF_UNROLL
      for (uint32_t part = kWgmmaParts; part-- != 0;)
        if (near[part] != 0)
          first = part * 32 + static_cast<uint32_t>(__ffs(static_cast<int>(near[part]))) - 1;
      const auto without_first = [&](uint32_t part) {
        return first / 32 == part ? near[part] & (near[part] - 1) : near[part];
      };
      // No loop: compilers would make near[first / 32] of it, an array in memory.
      near[0] = without_first(0);
      near[1] = without_first(1);
      near[2] = without_first(2);
      near[3] = without_first(3);
      const WgmmaQuery query = either(mine[0], mine[1], (first / 2 & 1) != 0);
      const uint32_t in_tile = first / 4 * 8 + 2 * t + first % 2, row = of.group0 * kWarp + in_tile;
      const Coded coded = rows.at(in_tile);
      if (coded.norm < 0) continue;
      if (p.has_masks != 0 && (wanted_word(slab, ~0u, row / kWarp, query.q) >> row % kWarp & 1) == 0)
        continue;
      const uint32_t slot = atomicAdd(&counts[query.q], 1u);
      const RankBounds bounds = rank_bounds<METRIC>(p, coded, 0.0f, coded_of(query.values, 1), query.terms,
                                                    sum_at<0, kWgmmaSums>(sums, first));
      put_candidate(p, slot, candidates, query.q, p.first_row + row, bounds);
    }
  }
}

}  // namespace nearfield::cuda
#endif
