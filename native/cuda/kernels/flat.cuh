// SPDX-License-Identifier: Apache-2.0
// Exact scan with the selection fused: block = one part of a slab's groups by QUERIES queries; out: the
// part's k best of each query, sorted, NEARFIELD_EMPTY-padded, [batch][part_stride][k].
//
// From 8 queries on the block's halves take half of the queries each and two rows a lane: a chunk of a query
// then serves two rows, and the rows that both halves read come from the caches the second time. Several
// queries lie in shared memory chunk by chunk, so that their reads need no address arithmetic.
#pragma once

#include "rows.cuh"
#include "select.cuh"
#include "shapes.h"

namespace nearfield::cuda {

template <int METRIC, uint32_t QUERIES, uint32_t CAPACITY>
__device__ inline void flat(const ScanParams& p, const float4* vectors, const float* sides,
                            const uint32_t* live, const float4* queries, const uint32_t* masks, Entry* lists,
                            uint32_t* limits, const WorkItem* items) {
  constexpr uint32_t split = QUERIES >= 8 ? 2 : 1;  // parts of the block, and rows of a lane
  constexpr uint32_t mine = QUERIES / split;        // queries of a lane
  constexpr uint32_t warps = kScanThreads / kWarp / split;
  constexpr uint32_t unroll = mine == 1 ? kOneQueryUnroll : mine == 8 ? 2 : 4;
  constexpr uint32_t tile_groups = kTileRows / kWarp;
  static_assert(warps * split == tile_groups, "a block scores one tile a step");
  NF_SHARED(float4, staged, QUERIES == 1 ? 1 : QUERIES * kQueryChunks);
  uint64_t* entries;
  if constexpr (kFlatGivenBytes<QUERIES, CAPACITY> != 0) {
    NF_DYNAMIC_SHARED(uint64_t, given);
    entries = given;
  } else {
    NF_SHARED(uint64_t, declared, QUERIES * CAPACITY);
    entries = declared;
  }
  NF_SHARED(uint64_t, bounds, QUERIES);
  NF_SHARED(uint32_t, counts, QUERIES);
  const Lists<QUERIES, CAPACITY, kTileRows, kScanThreads> list{entries, bounds, counts};
  Part part;
  if (!(QUERIES == 1 ? part.locate(p, items) : part.locate(p))) return;
  const Slab slab{vectors, sides, live, masks, p.chunks, p.first_row, p.has_masks};
  const uint32_t q0 = part.query_block * QUERIES;
  const uint32_t warp = threadIdx.x / kWarp, first = warp / warps * mine;
  // Chunks from c on of all queries, [chunk][query].
  const auto stage = [&](uint32_t c) {
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < QUERIES * kQueryChunks; i += kScanThreads) {
      const uint32_t j = i / kQueryChunks, at = i % kQueryChunks;
      if (c + at < p.chunks)
        staged[at * QUERIES + j] = queries[static_cast<uint64_t>(q0 + j) * p.chunks + c + at];
    }
    __syncthreads();
  };
  list.clear();
  for (uint32_t tile = part.begin; tile < part.end; tile += tile_groups) {
    // Read before the rows, so that nobody waits for it.
    uint32_t limit[mine];
    NF_UNROLL
    for (uint32_t j = 0; j < mine; ++j) {
      const uint32_t q = q0 + first + j;
      limit[j] = load_relaxed(&limits[q < p.batch ? q : p.batch - 1]);
    }
    Tile<METRIC, mine, split> found(slab, tile + warp % warps, warps, part.end, q0 + first, p.batch);
    if (QUERIES == 1) {
      found.template add<unroll, 1>(queries + static_cast<uint64_t>(q0) * p.chunks, 0, p.chunks);
    } else {
      for (uint32_t c = 0; c < p.chunks; c += kQueryChunks) {
        if (p.chunks > kQueryChunks || tile == part.begin) stage(c);
        const uint32_t rest = p.chunks - c;
        found.template add<unroll, QUERIES>(staged + first, c, rest < kQueryChunks ? rest : kQueryChunks);
      }
    }
    bool full = false;
    NF_UNROLL
    for (uint32_t j = 0; j < mine; ++j) {
      NF_UNROLL
      for (uint32_t r = 0; r < split; ++r)
        full |= list.offer(first + j, found.key(r, j), found.rows[r], limit[j]);
    }
    if (!__syncthreads_or(full)) continue;
    for (uint32_t j = 0; j < QUERIES; ++j) {
      if (counts[j] <= CAPACITY - kTileRows) continue;
      list.prune(j, p.k);
      if (threadIdx.x == 0) atomicMin(&limits[q0 + j], list.bound_key(j));
    }
    __syncthreads();  // the lists' lengths are compared before any thread offers again
  }
  for (uint32_t j = 0; j < QUERIES && q0 + j < p.batch; ++j) {
    const uint32_t kept = list.prune(j, p.k);
    const uint64_t at = static_cast<uint64_t>(q0 + j) * p.part_stride + p.part_base + part.index;
    list.write(j, kept, p.k, lists + at * p.k);
    if (threadIdx.x == 0 && kept == p.k) atomicMin(&limits[q0 + j], list.bound_key(j));
  }
}

}  // namespace nearfield::cuda
