// SPDX-License-Identifier: Apache-2.0
// A scan of int8 codes by levels: a simdgroup owns a group and leaves it at the first level whose bound rules
// out every row of it for all of QUERIES queries; what no level rules out becomes a candidate. Threadgroup:
// one part of a slab's groups by QUERIES queries. docs/numerics-gpu.md has the test.
#ifndef NEARFIELD_METAL_LEVELS_H
#define NEARFIELD_METAL_LEVELS_H

#include "coded.h"
#include "rows.h"

namespace nearfield {
namespace kernels {

constant constexpr uint QUERY_HEADER = 16;  // words of CodeQuery

// What a row is compared with, for one query: kernel_params.h, CodeQuery.
struct LevelTest {
  float scale_a, scale_b, shrink, query, widen, per_error, per_norm, base, gain;
  uint keeps_all;
};

template <int METRIC>
inline LevelTest level_test(device const CodeQuery& q, uint limit, bool is_capped) {
  LevelTest t = {q.scale_a,   q.scale_b,  q.shrink, q.query, q.widen,
                 q.per_error, q.per_norm, q.base,   q.gain,  q.keeps_all};
  if (is_capped) return t;
  t.base = 0.0f;
  t.gain = 0.0f;
  t.keeps_all = limit == NEARFIELD_EMPTY ? 1 : 0;
  if (t.keeps_all != 0) return t;
  const float rank = rank_of(limit);
  if (METRIC == DOT) {
    const float moved = rank + q.offset;
    t.base = (moved + fabs(moved) * (1.0f / (1 << 21))) + q.addend;
    return t;
  }
  const float reach = sqrt(rank * q.slope + q.addend);
  t.base = METRIC == POINCARE ? float(q.offset) : reach + q.offset;
  t.gain = METRIC == POINCARE ? reach : 0.0f;
  return t;
}

// A row's side values.
struct RowSides {
  float scale, norm, error, beta, tail_unit;
  bool is_always_kept;
};

template <int METRIC>
inline RowSides sides_of(constant LevelsParams& p, device const ushort* plane) {
  const float norm = float(plane[32]);
  const uint error = plane[64];
  RowSides row;
  row.scale = as_type<float>(uint(plane[0]) << 16);
  row.norm = norm * p.norm_unit * row.scale;
  row.error = float(error) * p.error_unit * row.scale;
  row.tail_unit = norm * p.tail_unit * row.scale;
  row.beta = METRIC == POINCARE ? float(plane[96]) * p.beta_unit : 0.0f;
  row.is_always_kept = error == ALWAYS_KEEP;
  return row;
}

// Whether a row may be within the limit, by the integer dots of the levels seen. `left`: the left side of the
// test.
template <int METRIC>
inline bool stays(thread const LevelTest& t, thread const RowSides& row, int a, int b, float query_tail,
                  float tail, thread float* left) {
  const float z = row.scale * (t.scale_a * float(a) + t.scale_b * float(b)) + query_tail * tail;
  if (METRIC == DOT) {
    *left = -z;
    return *left <= t.base + t.per_error * row.error + t.per_norm * row.norm;
  }
  const float reach = t.base + t.gain * row.beta + row.error;
  *left = (t.shrink * (row.norm * row.norm) + t.query) - 2.0f * z;
  return *left <= t.widen * (reach * reach);
}

// masks: per query an offset or EMPTY, then the words. counts: [batch] candidates, [batch] sums, which
// `rescore` makes, then the levels seen. candidates: [batch][capacity] rows of the store; with is_capped
// NEARFIELD_VALUE_WORDS words each.
template <int METRIC, uint QUERIES, uint CAPACITY>
[[kernel]] void levels(constant LevelsParams& p [[buffer(0)]], device const uchar* codes [[buffer(1)]],
                       device const uint* live [[buffer(2)]], device const uint* masks [[buffer(3)]],
                       device const uint* queries [[buffer(4)]], device const uint* limits [[buffer(5)]],
                       device atomic_uint* counts [[buffer(6)]], device uint* candidates [[buffer(7)]],
                       device const WorkItem* items [[buffer(8)]],
                       uint3 position [[threadgroup_position_in_grid]],
                       uint lane [[thread_index_in_threadgroup]]) {
  NF_SHARED(atomic_uint, seen, 1);
  const uint index = position.x + position.y * p.grid_x;
  if (index >= p.workgroups) return;
  uint q0 = index % p.query_blocks * QUERIES;
  uint begin = p.group_begin + index / p.query_blocks * p.groups_per_part;
  uint end = min(begin + p.groups_per_part, p.group_end);
  if (QUERIES == 1 && p.has_items != 0) {
    device const WorkItem& item = items[p.item_begin + index];
    q0 = item.query;
    begin = item.group_begin;
    end = item.group_end;
  }
  const uint bit = lane & 31;
  const Rows rows = {nullptr, nullptr, live, nullptr, masks};
  const CodedSlab<METRIC> slab = {p.groups, p.levels, p.level_chunks};
  const uint terms = p.levels * p.level_chunks;  // words of a query and term
  if (lane == 0) atomic_store_explicit(&seen[0], 0u, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);

  LevelTest tests[QUERIES];
  device const uint* query_codes[QUERIES];
  uint keeps_all = 0;  // a bit a query
  NF_UNROLL
  for (uint j = 0; j < QUERIES; ++j) {
    const uint q = min(q0 + j, p.batch - 1);
    device const uint* query = queries + p.query_begin + ulong(q) * p.query_words;
    query_codes[j] = query + QUERY_HEADER;
    tests[j] =
        level_test<METRIC>(*reinterpret_cast<device const CodeQuery*>(query), limits[q], p.is_capped != 0);
    keeps_all |= (tests[j].keeps_all != 0 ? 1u : 0u) << j;
  }

  uint levels_seen = 0;
  for (uint group = begin + (lane >> 5); group < end; group += TILE_GROUPS) {
    uint alive = 0;  // a bit a query
    NF_UNROLL
    for (uint j = 0; j < QUERIES; ++j)
      if (q0 + j < p.batch) alive |= ((wanted(p, rows, group, q0 + j) >> bit) & 1) << j;
    if (!simd_any(alive != 0)) continue;
    // A row that nobody wants was perhaps never coded.
    RowSides row = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, false};
    if (alive != 0)
      row = sides_of<METRIC>(p, reinterpret_cast<device const ushort*>(codes + slab.sides(group)) + bit);
    const uint always = row.is_always_kept ? ~0u : keeps_all;
    int a[QUERIES];
    int b[QUERIES];
    float left[QUERIES];
    NF_UNROLL
    for (uint j = 0; j < QUERIES; ++j) {
      a[j] = 0;
      b[j] = 0;
      left[j] = 0.0f;
    }
    for (uint l = 0; l < p.levels; ++l) {
      if (!simd_any(alive != 0)) break;
      ++levels_seen;
      if (alive == 0) continue;
      device const uint* from = reinterpret_cast<device const uint*>(codes + slab.level(l, group)) + bit;
      const float tail = l + 1 < p.levels ? float(codes[slab.tails(l, group) + bit]) * row.tail_unit : 0.0f;
      // Sums of a level are below 2^24, so that f32 has them exactly.
      float level_a[QUERIES];
      float level_b[QUERIES];
      NF_UNROLL
      for (uint j = 0; j < QUERIES; ++j) {
        level_a[j] = 0.0f;
        level_b[j] = 0.0f;
      }
      for (uint k = 0; k < p.level_chunks; ++k) {
        const float4 c = codes_of(from[k * 32]);
        const uint at = l * p.level_chunks + k;
        NF_UNROLL
        for (uint j = 0; j < QUERIES; ++j) {
          level_a[j] += dot(c, codes_of(query_codes[j][at] ^ CODE_ZERO_WORD));
          level_b[j] += dot(c, codes_of(query_codes[j][terms + at] ^ CODE_ZERO_WORD));
        }
      }
      NF_UNROLL
      for (uint j = 0; j < QUERIES; ++j) {
        a[j] += int(level_a[j]);
        b[j] += int(level_b[j]);
        const float query_tail = as_type<float>(query_codes[j][2 * terms + l + 1]);
        const bool kept =
            stays<METRIC>(tests[j], row, a[j], b[j], query_tail, tail, &left[j]) || ((always >> j) & 1) != 0;
        if (!kept) alive &= ~(1u << j);
      }
    }
    NF_UNROLL
    for (uint j = 0; j < QUERIES; ++j) {
      if (((alive >> j) & 1) == 0) continue;
      const uint slot = atomic_fetch_add_explicit(&counts[q0 + j], 1u, memory_order_relaxed);
      if (slot >= p.capacity) continue;
      const ulong to = ulong(q0 + j) * p.capacity + slot;
      const uint in_store = p.first_row + group * 32 + bit;
      if (p.is_capped == 0) {
        candidates[to] = in_store;
        continue;
      }
      device uint* value = candidates + to * NEARFIELD_VALUE_WORDS;
      value[0] = in_store;
      value[1] = as_type<uint>(left[j]);
      value[2] = as_type<uint>(row.norm);
      value[3] = row.is_always_kept ? NEARFIELD_EMPTY : as_type<uint>(row.error);
      value[4] = as_type<uint>(row.beta);
    }
  }
  if (bit == 0) atomic_fetch_add_explicit(&seen[0], levels_seen, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (lane == 0)
    atomic_fetch_add_explicit(&counts[2 * p.batch], atomic_load_explicit(&seen[0], memory_order_relaxed),
                              memory_order_relaxed);
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_LEVELS_H
