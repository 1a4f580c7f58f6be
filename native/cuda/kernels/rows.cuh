// SPDX-License-Identifier: Apache-2.0
// Canonical ranks of the rows of a slab. A lane owns one row of a group and reads 16 bytes of it a step
// (tile32: coalesced), several steps in flight.
#pragma once

#include "rank.cuh"

namespace nearfield::cuda {

struct Slab {
  const float4* vectors;
  const float* sides;
  const uint32_t* live;
  const uint32_t* masks;
  uint32_t chunks, first_row, has_masks;
};

// Where the row `bit` of a group starts; the next chunk follows 32 elements later. 64 bits: a slab may exceed
// 2^32 bytes.
__device__ inline const float4* row_of(const Slab& slab, uint32_t group, uint32_t bit) {
  return slab.vectors + static_cast<uint64_t>(group) * slab.chunks * kWarp + bit;
}

// The live rows of a group that query q may return. `group` in the slab.
__device__ inline uint32_t wanted_word(const Slab& slab, uint32_t live, uint32_t group, uint32_t q) {
  if (slab.has_masks == 0 || live == 0) return live;
  const uint32_t offset = slab.masks[q];
  if (offset == NEARFIELD_EMPTY) return live;
  return live & slab.masks[static_cast<uint64_t>(offset) + slab.first_row / kWarp + group];
}

// A block that gives its lanes two rows has both its halves read each row: the second time from L1.
template <uint32_t ROWS>
__device__ inline float4 load_row(const float4* from) {
  return ROWS == 1 ? load_stream(from) : __ldg(from);
}

// ROWS rows by QUERIES queries of one lane: adds the terms of `chunks` chunks to the sums. Query j has its
// chunk c at queries[c * STRIDE + j]; `rows` point to the first chunk.
template <int METRIC, uint32_t QUERIES, uint32_t ROWS, uint32_t UNROLL, uint32_t STRIDE>
__device__ inline void add_chunks(const float4* const (&rows)[ROWS], const float (&sides)[ROWS],
                                  const float4* queries, uint32_t chunks, float4 (&sums)[ROWS][QUERIES]) {
  const auto step = [&](const float4(&v)[ROWS], uint32_t c) {
    NF_UNROLL
    for (uint32_t j = 0; j < QUERIES; ++j) {
      const float4 q = queries[c * STRIDE + j];
      NF_UNROLL
      for (uint32_t r = 0; r < ROWS; ++r) accumulate<METRIC>(q, v[r], sides[r], &sums[r][j]);
    }
  };
  uint32_t c = 0;
  NF_NO_UNROLL
  for (; c + UNROLL <= chunks; c += UNROLL) {
    float4 v[UNROLL][ROWS];
    NF_UNROLL
    for (uint32_t u = 0; u < UNROLL; ++u) {
      NF_UNROLL
      for (uint32_t r = 0; r < ROWS; ++r) v[u][r] = load_row<ROWS>(rows[r] + (c + u) * kWarp);
    }
    NF_UNROLL
    for (uint32_t u = 0; u < UNROLL; ++u) step(v[u], c + u);
  }
  NF_NO_UNROLL
  for (; c < chunks; ++c) {
    float4 v[ROWS];
    NF_UNROLL
    for (uint32_t r = 0; r < ROWS; ++r) v[r] = load_row<ROWS>(rows[r] + c * kWarp);
    step(v, c);
  }
}

// Bytes in flight decide the speed of a scan with one query: 8 loads a lane.
inline constexpr uint32_t kOneQueryUnroll = 8;

// The key of one row for one query.
template <int METRIC>
__device__ inline uint32_t row_key(const Slab& slab, uint32_t row, const float4* query) {
  const float4* const rows[1] = {row_of(slab, row / kWarp, row % kWarp)};
  const float sides[1] = {kHasSide<METRIC> ? slab.sides[row] : 0.0f};
  float4 sums[1][1] = {{{0, 0, 0, 0}}};
  add_chunks<METRIC, 1, 1, kOneQueryUnroll, 1>(rows, sides, query, slab.chunks, sums);
  return finish<METRIC>(sums[0][0], sides[0]);
}

// A lane's rows of a tile, for QUERIES queries.
template <int METRIC, uint32_t QUERIES, uint32_t ROWS>
struct Tile {
  const float4* from[ROWS];
  float4 sums[ROWS][QUERIES];
  float sides[ROWS];
  uint32_t rows[ROWS];  // numbers in the store
  uint32_t wanted;      // a bit per row and query

  // The lane's rows of the groups `group`, `group + stride`, ..., as far as they lie before `end`, for the
  // queries from q0, as far as they lie before `batch`.
  __device__ inline Tile(const Slab& slab, uint32_t group, uint32_t stride, uint32_t end, uint32_t q0,
                         uint32_t batch) {
    const uint32_t bit = threadIdx.x % kWarp;
    wanted = 0;
    NF_UNROLL
    for (uint32_t r = 0; r < ROWS; ++r) {
      const uint32_t at = group + r * stride;
      const uint32_t live = at < end ? slab.live[at] : 0;
      uint32_t of_row = 0;
      NF_UNROLL
      for (uint32_t j = 0; j < QUERIES; ++j) {
        const uint32_t word = q0 + j < batch ? wanted_word(slab, live, at, q0 + j) : 0;
        of_row |= (word >> bit & 1) << j;
        sums[r][j] = float4{0, 0, 0, 0};
      }
      wanted |= of_row << (r * QUERIES);
      rows[r] = slab.first_row + at * kWarp + bit;
      // A row that nobody wants is never read: the lane reads another of its rows twice, or nothing.
      from[r] = of_row != 0 ? row_of(slab, at, bit) : nullptr;
      sides[r] = kHasSide<METRIC> && of_row != 0 ? slab.sides[at * kWarp + bit] : 0.0f;
    }
    static_assert(ROWS <= 2, "the other row");
    NF_UNROLL
    for (uint32_t r = 0; r < ROWS; ++r)
      if (from[r] == nullptr) from[r] = from[ROWS - 1 - r];
  }

  template <uint32_t UNROLL, uint32_t STRIDE>
  __device__ inline void add(const float4* queries, uint32_t first, uint32_t chunks) {
    if (wanted == 0) return;
    const float4* at[ROWS];
    NF_UNROLL
    for (uint32_t r = 0; r < ROWS; ++r) at[r] = from[r] + first * kWarp;
    add_chunks<METRIC, QUERIES, ROWS, UNROLL, STRIDE>(at, sides, queries, chunks, sums);
  }

  // NEARFIELD_EMPTY where the row is not to be returned.
  __device__ inline uint32_t key(uint32_t r, uint32_t j) const {
    return (wanted >> (r * QUERIES + j) & 1) != 0 ? finish<METRIC>(sums[r][j], sides[r]) : NEARFIELD_EMPTY;
  }
};

// A tile of one row a lane for one query, scored.
template <int METRIC>
__device__ inline Tile<METRIC, 1, 1> score_one(const Slab& slab, uint32_t tile, uint32_t end,
                                               const float4* queries, uint32_t q, uint32_t batch) {
  Tile<METRIC, 1, 1> found(slab, tile + threadIdx.x / kWarp, 0, end, q, batch);
  found.template add<kOneQueryUnroll, 1>(queries + static_cast<uint64_t>(q) * slab.chunks, 0, slab.chunks);
  return found;
}

// The part of a scan that a block has: groups [begin, end) for one block of queries.
struct Part {
  uint32_t query_block, index, begin, end;

  // False for a block that the grid has too many.
  __device__ inline bool locate(const ScanParams& p) {
    const uint32_t block = blockIdx.x + blockIdx.y * p.grid_x;
    if (block >= p.workgroups) return false;
    query_block = block % p.query_blocks;
    index = block / p.query_blocks;
    begin = p.group_begin + index * p.groups_per_part;
    end = begin + p.part_groups < p.group_end ? begin + p.part_groups : p.group_end;
    return true;
  }
  // Of a block that has one query.
  __device__ inline bool locate(const ScanParams& p, const WorkItem* items) {
    if (p.has_items == 0) return locate(p);
    const uint32_t block = blockIdx.x + blockIdx.y * p.grid_x;
    if (block >= p.workgroups) return false;
    const WorkItem item = items[p.item_begin + block];
    query_block = item.query;
    index = item.part;
    begin = item.group_begin;
    end = item.group_end;
    return true;
  }
};

}  // namespace nearfield::cuda
