// SPDX-License-Identifier: Apache-2.0
// Bounds of the ranks of a tile of rows by a tile of queries, both int8 codes, by the matrix units
// (kernel_params.h: CodedProductParams). No product is stored: a row that a query's limit cannot rule out
// becomes a candidate.
//
// A warp owns 64 rows by 64 queries. Codes lie as [chunk of 4 dimensions][32 rows], a word each, for rows and
// queries alike: 16 bytes of a chunk are four rows, and a fragment wants of lane 4g + t the chunk t of row g.
// So a lane reads one quad of rows of a group and one of queries, for the lower and the upper half of 32
// dimensions, and has the fragments of two tiles of 16 rows and of four of 8 queries; of the sums it gets
// rows 4g .. 4g + 3 of each group and queries 8t .. 8t + 7 of each.
#pragma once

#include "coded.cuh"
#include "mma.cuh"
#include "product_bounds.cuh"
#include "rows.cuh"
#include "shapes.h"

namespace nearfield::cuda {

inline constexpr uint32_t kProductGroups = 2;  // of a warp's rows, and of its queries
inline constexpr uint32_t kProductRows = 4 * kProductGroups,
                          kProductQueries = 8 * kProductGroups;  // of a lane

// So few dimensions that |A| is below 2^22.
inline constexpr uint32_t kShortDims = 260;

// Beside its codes.
__device__ inline Coded coded_of(const CodedProductParams& p, const uint8_t* sides, uint32_t bit) {
  const auto* const plane = reinterpret_cast<const uint16_t*>(sides) + bit;
  const auto unit = [&](uint32_t i) { return static_cast<uint32_t>(__ldg(&plane[i * kWarp])); };
  const uint32_t scale = unit(0), norm = unit(1), error = unit(2);
  const float s = __uint_as_float(scale << 16);
  return {s, __fmul_rn(__fmul_rn(__uint2float_rn(norm), p.norm_unit), s),
          __fmul_rn(__fmul_rn(__uint2float_rn(error), p.error_unit), s), error == kAlwaysKeep};
}

__device__ inline float beta_of(const CodedProductParams& p, const uint8_t* sides, uint32_t bit) {
  return __fmul_rn(__uint2float_rn(__ldg(reinterpret_cast<const uint16_t*>(sides) + 3 * kWarp + bit)),
                   p.beta_unit);
}

// Of the few rows that stay, for which there are no registers left. ptxas has some for 7.5.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
template <int METRIC>
inline constexpr bool kReadsAgain = false;
#else
template <int METRIC>
inline constexpr bool kReadsAgain = METRIC == kPoincare;
#endif

// Block: a tile of QUERY_TILE queries by kProductRowTile rows, several tiles of rows one after the other.
template <int METRIC, uint32_t QUERY_TILE>
__device__ inline void coded_product(const CodedProductParams& p, const uint8_t* codes, const uint32_t* live,
                                     const uint32_t* masks, const uint8_t* queries, const ProductQuery* terms,
                                     const uint32_t* limits, uint32_t* counts, uint32_t* candidates) {
  constexpr uint32_t threads = kProductThreads<QUERY_TILE>;
  constexpr uint32_t query_groups = QUERY_TILE / kWarp, row_groups = kProductRowTile / kWarp;
  constexpr uint32_t query_warps = query_groups / kProductGroups;
  // Words from chunk to chunk: 8 more than there are rows, so that the eight lanes of a pass, two quads of
  // rows by four chunks, meet eight different quads of banks.
  constexpr uint32_t query_stride = QUERY_TILE + 8, row_stride = kProductRowTile + 8;
  constexpr uint32_t query_words = kProductStep * query_stride, row_words = kProductStep * row_stride;
  NF_SHARED(uint4, query_steps, 2 * query_words / 4);
  NF_SHARED(uint4, row_steps, 2 * row_words / 4);
  NF_SHARED(PairTest, tests, QUERY_TILE);
  NF_SHARED(Coded, coded, QUERY_TILE);

  const uint32_t block = blockIdx.x + blockIdx.y * p.grid_x;
  if (block >= p.workgroups) return;
  const uint32_t q0 = block % p.query_tiles * QUERY_TILE;
  const uint32_t tile0 = block / p.query_tiles * p.tiles_per_workgroup;
  const uint32_t tile_end = tile0 + p.tiles_per_workgroup < p.tiles ? tile0 + p.tiles_per_workgroup : p.tiles;
  const uint32_t warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const uint32_t g = lane / 4, t = lane % 4;
  const uint32_t query_group = warp % query_warps * kProductGroups;  // of the tile
  const uint32_t row_group = warp / query_warps * kProductGroups;
  const Slab slab{nullptr, nullptr, live, masks, 0, p.first_row, p.has_masks};
  const CodedSlab<METRIC, const uint8_t> rows{codes, p.groups, p.levels, p.level_chunks};
  const CodedSlab<kL2, const uint8_t> coded_queries{queries, p.query_groups, p.levels, p.level_chunks};
  const uint32_t chunks = p.levels * p.level_chunks, steps = (chunks + kProductStep - 1) / kProductStep;
  const uint32_t level_shift = 31 - static_cast<uint32_t>(__clz(static_cast<int>(p.level_chunks)));

  for (uint32_t i = threadIdx.x; i < QUERY_TILE; i += threads) {
    const uint32_t q = q0 + i < p.batch ? q0 + i : p.batch - 1;
    coded[i] = coded_of(p, coded_queries.sides(q / kWarp), q % kWarp);
    tests[i] = pair_test<METRIC>(p, coded[i], terms[q], limits[q]);
  }

  const auto group_of = [&](uint32_t tile) { return p.group_begin + tile * p.apart; };
  // A step of 32 dimensions twice over of both operands; beyond the last chunk and the last group zeros.
  const auto load = [&](uint32_t tile, uint32_t step, uint32_t stage) {
    const auto copy = [&](uint4* to, uint32_t stride, const auto& from, uint32_t group0, uint32_t groups,
                          uint32_t end) {
      constexpr uint32_t quads = kWarp / 4;  // of a chunk of a group
      for (uint32_t i = threadIdx.x; i < kProductStep * groups * quads; i += threads) {
        const uint32_t quad = i % quads, group = i / quads % groups, chunk = i / (quads * groups);
        const uint32_t c = step * kProductStep + chunk;
        const bool inside = c < chunks && group0 + group < end;
        const uint32_t level = c >> level_shift, in_level = c & (p.level_chunks - 1);
        const uint8_t* at =
            inside ? from.level(level, group0 + group) + in_level * kChunkBytes + quad * 16 : from.bytes;
        copy_async(reinterpret_cast<float4*>(to + (chunk * stride + group * kWarp) / 4 + quad),
                   reinterpret_cast<const float4*>(at), inside);
      }
    };
    copy(query_steps + stage * query_words / 4, query_stride, coded_queries, q0 / kWarp, query_groups,
         p.query_groups);
    copy(row_steps + stage * row_words / 4, row_stride, rows, group_of(tile), row_groups, p.group_end);
  };

  const bool is_short = chunks * 4 <= kShortDims;
  const float offset = is_short ? __uint_as_float(0x4b400000u) : 0;
  int sums[kProductGroups][2][kProductGroups][4][4];  // [rows][their tile of 16][queries][their tile of 8]
  uint32_t stage = 0;
  load(tile0, 0, 0);
  for (uint32_t tile = tile0; tile < tile_end; ++tile) {
    NF_UNROLL
    for (uint32_t a = 0; a < kProductGroups; ++a) {
      NF_UNROLL
      for (uint32_t i = 0; i < 2; ++i) {
        NF_UNROLL
        for (uint32_t b = 0; b < kProductGroups; ++b) {
          NF_UNROLL
          for (uint32_t j = 0; j < 4; ++j) {
            NF_UNROLL
            for (uint32_t e = 0; e < 4; ++e) sums[a][i][b][j][e] = is_short ? 0x4b400000 : 0;
          }
        }
      }
    }
    for (uint32_t step = 0; step < steps; ++step, stage ^= 1) {
      copies_done();
      // Also: everybody has left the stage that the next copies overwrite.
      __syncthreads();
      if (step + 1 < steps)
        load(tile, step + 1, stage ^ 1);
      else if (tile + 1 < tile_end)
        load(tile + 1, 0, stage ^ 1);
      NF_UNROLL
      for (uint32_t half = 0; half < kProductStep / 8; ++half) {
        const uint32_t low = half * 8 + t, high = low + 4;
        // Zeros stay zeros, codes lose their 128.
        const uint32_t low_flips = step * kProductStep + low < chunks ? kSignFlips : 0;
        const uint32_t high_flips = step * kProductStep + high < chunks ? kSignFlips : 0;
        const auto quad = [&](const uint4* from, uint32_t stride, uint32_t chunk, uint32_t group,
                              uint32_t flips, uint32_t(&to)[4]) {
          const uint4 v = from[(chunk * stride + group * kWarp) / 4 + g];
          to[0] = v.x ^ flips, to[1] = v.y ^ flips, to[2] = v.z ^ flips, to[3] = v.w ^ flips;
        };
        uint32_t lows[kProductGroups][4], highs[kProductGroups][4];
        NF_UNROLL
        for (uint32_t a = 0; a < kProductGroups; ++a) {
          const uint4* const from = row_steps + stage * row_words / 4;
          quad(from, row_stride, low, row_group + a, low_flips, lows[a]);
          quad(from, row_stride, high, row_group + a, high_flips, highs[a]);
        }
        NF_UNROLL
        for (uint32_t b = 0; b < kProductGroups; ++b) {
          const uint4* const from = query_steps + stage * query_words / 4;
          uint32_t query_low[4], query_high[4];
          quad(from, query_stride, low, query_group + b, low_flips, query_low);
          quad(from, query_stride, high, query_group + b, high_flips, query_high);
          NF_UNROLL
          for (uint32_t j = 0; j < 4; ++j) {
            const uint32_t column[2] = {query_low[j], query_high[j]};
            NF_UNROLL
            for (uint32_t a = 0; a < kProductGroups; ++a) {
              NF_UNROLL
              for (uint32_t i = 0; i < 2; ++i) {
                const uint32_t two_rows[4] = {lows[a][2 * i], lows[a][2 * i + 1], highs[a][2 * i],
                                              highs[a][2 * i + 1]};
                mma_s8(sums[a][i][b][j], two_rows, column);
              }
            }
          }
        }
      }
    }

    // Sums of few dimensions began at 1.5 x 2^23: as floats they are that and A, and multiplied by a scale of
    // 8 bits, in one operation with its product by 1.5 x 2^23, exact, A s rounded once.
    if (!is_short) {
      NF_UNROLL
      for (uint32_t a = 0; a < kProductGroups; ++a) {
        NF_UNROLL
        for (uint32_t i = 0; i < 2; ++i) {
          NF_UNROLL
          for (uint32_t b = 0; b < kProductGroups; ++b) {
            NF_UNROLL
            for (uint32_t j = 0; j < 4; ++j) {
              NF_UNROLL
              for (uint32_t e = 0; e < 4; ++e)
                sums[a][i][b][j][e] = __float_as_int(__int2float_rn(sums[a][i][b][j][e]));
            }
          }
        }
      }
    }
    // Of the lane's rows: bit r of `wanted` tells of row r % 4 of its quad of group r / 4.
    const uint32_t group0 = group_of(tile) + row_group;
    uint32_t wanted = 0, always = 0;
    Coded mine[kProductRows];
    float row_terms[kProductRows], betas[METRIC == kPoincare ? kProductRows : 1];
    NF_UNROLL
    for (uint32_t r = 0; r < kProductRows; ++r) {
      const uint32_t group = group0 + r / 4, bit = 4 * g + r % 4;
      const bool is_there = group < p.group_end;
      if (is_there) wanted |= (live[group] >> bit & 1) << r;
      const uint8_t* const sides = rows.sides(is_there ? group : p.group_begin);
      mine[r] = coded_of(p, sides, bit);
      always |= static_cast<uint32_t>(mine[r].is_always_kept) << r;
      row_terms[r] = row_term<METRIC>(p, mine[r]);
      if (METRIC == kPoincare) betas[r] = beta_of(p, sides, bit);
    }
    const uint32_t part = p.part_base + tile * (row_groups / kProductGroups) + row_group / kProductGroups;
    NF_UNROLL
    for (uint32_t b = 0; b < kProductGroups; ++b) {
      NF_UNROLL
      for (uint32_t c = 0; c < 8; ++c) {
        // Query 8t + c of the group: column c / 4 of the tile c % 4.
        const uint32_t in_tile = (query_group + b) * kWarp + 8 * t + c, q = q0 + in_tile;
        const bool is_query = q < p.batch;
        const auto sum = [&](uint32_t r) {
          return __int_as_float(sums[r / 4][r % 4 / 2][b][c % 4][r % 2 * 2 + c / 4]);
        };
        const PairTest test = tests[in_tile];
        uint32_t near = 0;
        NF_UNROLL
        for (uint32_t r = 0; r < kProductRows; ++r) {
          const float dots = __fmaf_rn(sum(r), mine[r].scale, -__fmul_rn(offset, mine[r].scale));
          const float beta = METRIC == kPoincare ? betas[r] : 0.0f;
          near |= static_cast<uint32_t>(may_stay<METRIC>(test, dots, mine[r].error, row_terms[r], beta)) << r;
        }
        near |= always;
        if (p.is_sample != 0 || test.keeps_all != 0) near = ~0u;
        near &= is_query ? wanted : 0;
        uint32_t least = NEARFIELD_EMPTY;
        NF_NO_UNROLL
        for (; near != 0; near &= near - 1) {
          const uint32_t r = static_cast<uint32_t>(__ffs(static_cast<int>(near))) - 1;
          const uint32_t group = group0 + r / 4, bit = 4 * g + r % 4;
          if (p.has_masks != 0 && (wanted_word(slab, ~0u, group, q) >> bit & 1) == 0) continue;
          float dot = 0, beta = 0;
          Coded row{};
          NF_UNROLL
          for (uint32_t i = 0; i < kProductRows; ++i) {
            if (i != r) continue;
            dot = __fsub_rn(sum(i), offset);
            if (kReadsAgain<METRIC>) continue;
            row = mine[i];
            if (METRIC == kPoincare) beta = betas[i];
          }
          if (kReadsAgain<METRIC>) {
            row = coded_of(p, rows.sides(group), bit);
            beta = beta_of(p, rows.sides(group), bit);
          }
          const RankBounds bounds = rank_bounds<METRIC>(p, row, beta, coded[in_tile], terms[q], dot);
          if (p.is_sample != 0) {
            const uint32_t upper = rank_key(bounds.upper);
            least = upper < least ? upper : least;
            continue;
          }
          put_candidate(p, counts, candidates, q, p.first_row + group * kWarp + bit, bounds);
        }
        if (p.is_sample == 0) continue;
        NF_UNROLL
        for (int by = 4; by < 32; by *= 2) {
          const uint32_t other = __shfl_xor_sync(~0u, least, by);
          least = other < least ? other : least;
        }
        if (g == 0 && is_query) candidates[static_cast<uint64_t>(q) * p.part_stride + part] = least;
      }
    }
  }
}

}  // namespace nearfield::cuda
