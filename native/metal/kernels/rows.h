// SPDX-License-Identifier: Apache-2.0
// One tile of a scan: a lane owns one row, reads 16 bytes of it a step (tile32, coalesced) for all queries of
// the block, and keeps one accumulator per query in registers.
#ifndef NEARFIELD_METAL_ROWS_H
#define NEARFIELD_METAL_ROWS_H

#include "distance.h"

namespace nearfield {
namespace kernels {

// A slab and the queries that meet it.
struct Rows {
  device const float4* vectors;  // tile32
  device const float* sides;
  device const uint* live;       // one word per group
  device const float4* queries;  // rows, the batch rounded up to whole query blocks
  device const uint* masks;      // per query an offset or EMPTY, then the words
};

// Loads in flight per lane before the first is used: with four simdgroups per threadgroup and more than one
// threadgroup on a core that covers the latency of memory.
constant constexpr uint AHEAD = 4;

// The canonical sums of one row, whose first chunk is at `row`, with QUERIES queries.
template <int METRIC, uint QUERIES>
inline void sum_row(device const float4* row, device const float4* queries, uint chunks, float side,
                    float zero, thread float4* sums) {
  NF_UNROLL
  for (uint j = 0; j < QUERIES; ++j) sums[j] = float4(0.0f);
  uint c = 0;
  for (; c + AHEAD <= chunks; c += AHEAD) {
    float4 v[AHEAD];
    NF_UNROLL
    for (uint i = 0; i < AHEAD; ++i) v[i] = row[(c + i) * 32];
    NF_UNROLL
    for (uint j = 0; j < QUERIES; ++j) {
      NF_UNROLL
      for (uint i = 0; i < AHEAD; ++i) {
        sums[j] = accumulate<METRIC>(queries[ulong(j) * chunks + c + i], v[i], side, zero, sums[j]);
      }
    }
  }
  for (; c < chunks; ++c) {
    const float4 v = row[c * 32];
    NF_UNROLL
    for (uint j = 0; j < QUERIES; ++j) {
      sums[j] = accumulate<METRIC>(queries[ulong(j) * chunks + c], v, side, zero, sums[j]);
    }
  }
}

// The live bits of a group that query q may see.
template <typename Params>
inline uint wanted(constant Params& p, thread const Rows& rows, uint group, uint q) {
  uint word = rows.live[group];
  if (p.has_masks != 0 && word != 0) {
    const uint offset = rows.masks[q];
    if (offset != NEARFIELD_EMPTY) word &= rows.masks[ulong(offset) + (p.first_row >> 5) + group];
  }
  return word;
}

// Entries of this lane's row of the tile that starts at group `tile`, as far as it lies before `end`, for the
// queries from q0; NO_ENTRY: not to be returned. Params: ScanParams or MatrixParams.
template <int METRIC, uint QUERIES, typename Params>
inline void score_tile(constant Params& p, thread const Rows& rows, uint tile, uint end, uint q0, uint lane,
                       thread ulong* entries) {
  const uint group = tile + (lane >> 5);
  const uint bit = lane & 31;
  bool want[QUERIES];
  bool any = false;
  NF_UNROLL
  for (uint j = 0; j < QUERIES; ++j) {
    want[j] = false;
    if (group < end && q0 + j < p.batch) want[j] = ((wanted(p, rows, group, q0 + j) >> bit) & 1) != 0;
    any = any || want[j];
    entries[j] = NO_ENTRY;
  }
  if (!any) return;
  const ulong row = ulong(group) * 32 + bit;
  const float side = side_of<METRIC>(rows.sides, row);
  float4 sums[QUERIES];
  sum_row<METRIC, QUERIES>(rows.vectors + ulong(group) * p.chunks * 32 + bit,
                           rows.queries + ulong(q0) * p.chunks, p.chunks, side, p.zero, sums);
  NF_UNROLL
  for (uint j = 0; j < QUERIES; ++j)
    if (want[j]) entries[j] = entry_of(finish<METRIC>(sums[j], side), p.first_row + uint(row));
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_ROWS_H
