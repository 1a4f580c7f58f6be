// SPDX-License-Identifier: Apache-2.0
// A scan of int8 codes by levels: a warp owns a group and leaves it at the first level whose bound rules out
// every row of it for all of QUERIES queries; what no level rules out becomes a candidate. Block: one part of
// a slab's groups by QUERIES queries. docs/numerics-gpu.md has the test.
//
// Latency decides: of a row the side values and the first level are asked for at once, and, once that has not
// ruled it out, two steps of two chunks are under way while one is used.
#pragma once

#include "coded.cuh"
#include "rows.cuh"
#include "shapes.h"

namespace nearfield::cuda {

// What a row is compared with, for one query: kernel_params.h, CodeQuery.
struct LevelTest {
  float scale_a, scale_b, shrink, query, widen, per_error, per_norm, base, gain;
  uint32_t keeps_all;
};

template <int METRIC>
__device__ inline LevelTest level_test(const CodeQuery& q, uint32_t limit, bool is_capped) {
  LevelTest t{q.scale_a,   q.scale_b,  q.shrink, q.query, q.widen,
              q.per_error, q.per_norm, q.base,   q.gain,  q.keeps_all};
  if (is_capped) return t;
  t.base = t.gain = 0;
  t.keeps_all = limit == NEARFIELD_EMPTY;
  if (t.keeps_all != 0) return t;
  const float rank = rank_of_key(limit);
  if (METRIC == kDot) {
    const float moved = __fadd_rn(rank, q.offset);
    t.base = __fadd_rn(__fmaf_rn(fabsf(moved), 1.0f / (1 << 21), moved), q.addend);
    return t;
  }
  const float reach = sqrtf(__fmaf_rn(rank, q.slope, q.addend));
  if (METRIC == kPoincare) {
    t.base = q.offset;
    t.gain = reach;
  } else {
    t.base = __fadd_rn(reach, q.offset);
  }
  return t;
}

// Two chunks of a row; of the last step of a level also what is left of the row after it.
struct LevelStep {
  uint32_t words[2];
  uint32_t tail;
};

// A row's side values.
struct RowSides {
  float scale, norm, error, beta, tail_unit;
  bool is_always_kept;
};

template <int METRIC>
__device__ inline RowSides sides_of(const LevelsParams& p, const uint8_t* sides, uint32_t bit) {
  const auto* const plane = reinterpret_cast<const uint16_t*>(sides) + bit;
  const auto unit = [&](uint32_t i) { return static_cast<uint32_t>(__ldg(&plane[i * kWarp])); };
  const uint32_t scale = unit(0), norm = unit(1), error = unit(2);
  RowSides row;
  row.scale = __uint_as_float(scale << 16);
  row.norm = __fmul_rn(__fmul_rn(__uint2float_rn(norm), p.norm_unit), row.scale);
  row.error = __fmul_rn(__fmul_rn(__uint2float_rn(error), p.error_unit), row.scale);
  row.tail_unit = __fmul_rn(__fmul_rn(__uint2float_rn(norm), p.tail_unit), row.scale);
  row.beta = METRIC == kPoincare ? __fmul_rn(__uint2float_rn(unit(3)), p.beta_unit) : 0.0f;
  row.is_always_kept = error == kAlwaysKeep;
  return row;
}

// The integer dots of the levels seen, z of them, and whether the row may be within the limit. `left`: the
// left side of the test.
template <int METRIC>
__device__ inline bool stays(const LevelTest& t, const RowSides& row, int a, int b, float query_tail,
                             float tail, float* left) {
  const float dots = __fmaf_rn(t.scale_a, __int2float_rn(a), __fmul_rn(t.scale_b, __int2float_rn(b)));
  const float z = __fmaf_rn(row.scale, dots, __fmul_rn(query_tail, tail));
  if (METRIC == kDot) {
    *left = -z;
    return *left <= __fmaf_rn(t.per_norm, row.norm, __fmaf_rn(t.per_error, row.error, t.base));
  }
  const float reach =
      __fadd_rn(METRIC == kPoincare ? __fmaf_rn(t.gain, row.beta, t.base) : t.base, row.error);
  *left = __fmaf_rn(-2.0f, z, __fmaf_rn(t.shrink, __fmul_rn(row.norm, row.norm), t.query));
  return *left <= __fmul_rn(t.widen, __fmul_rn(reach, reach));
}

// counts: [batch] candidates, [batch] sums, which `rescore` makes, then the levels seen. candidates:
// [batch][capacity] rows of the store; with is_capped NEARFIELD_VALUE_WORDS words each.
template <int METRIC, uint32_t QUERIES>
__device__ inline void levels(const LevelsParams& p, const uint8_t* codes, const uint32_t* live,
                              const uint32_t* masks, const uint32_t* queries, const uint32_t* limits,
                              uint32_t* counts, uint32_t* candidates, const WorkItem* items) {
  constexpr uint32_t warps = kScanThreads / kWarp;
  constexpr uint32_t staged_steps = kLevelsSteps / QUERIES;
  NF_SHARED(LevelTest, tests, QUERIES);
  NF_SHARED(int4, staged, kLevelsSteps);  // [step][query]: two chunks of the first term, two of the second
  NF_SHARED(uint32_t, seen, 1);
  const uint32_t block = blockIdx.x + blockIdx.y * p.grid_x;
  if (block >= p.workgroups) return;
  uint32_t q0 = block % p.query_blocks * QUERIES;
  uint32_t begin = p.group_begin + block / p.query_blocks * p.groups_per_part;
  uint32_t end = begin + p.groups_per_part < p.group_end ? begin + p.groups_per_part : p.group_end;
  if (QUERIES == 1 && p.has_items != 0) {
    const WorkItem item = items[p.item_begin + block];
    q0 = item.query;
    begin = item.group_begin;
    end = item.group_end;
  }
  const uint32_t warp = threadIdx.x / kWarp, bit = threadIdx.x % kWarp;
  const Slab rows{nullptr, nullptr, live, masks, 0, p.first_row, p.has_masks};
  const CodedSlab<METRIC, const uint8_t> slab{codes, p.groups, p.levels, p.level_chunks};
  // Of two chunks each; a power of two of them a level.
  const uint32_t steps_of_level = p.level_chunks / 2, steps = p.levels * steps_of_level;
  const uint32_t level_shift = 31 - static_cast<uint32_t>(__clz(static_cast<int>(steps_of_level)));
  constexpr uint32_t header = sizeof(CodeQuery) / sizeof(uint32_t);
  const auto query_of = [&](uint32_t j) {
    const uint32_t q = q0 + j < p.batch ? q0 + j : p.batch - 1;
    return queries + p.query_begin + static_cast<uint64_t>(q) * p.query_words;
  };
  const auto read_step = [&](uint32_t j, uint32_t step) {
    const uint32_t* at = query_of(j) + header + 2 * step;
    const auto word = [&](uint32_t i) { return static_cast<int>(__ldg(&at[i])); };
    return int4{word(0), word(1), word(2 * steps), word(2 * steps + 1)};
  };
  const uint32_t staged_end = steps < staged_steps ? steps : staged_steps;
  for (uint32_t i = threadIdx.x; i < staged_end * QUERIES; i += kScanThreads)
    staged[i] = read_step(i % QUERIES, i / QUERIES);
  if (threadIdx.x < QUERIES) {
    const uint32_t q = q0 + threadIdx.x < p.batch ? q0 + threadIdx.x : p.batch - 1;
    tests[threadIdx.x] = level_test<METRIC>(*reinterpret_cast<const CodeQuery*>(query_of(threadIdx.x)),
                                            limits[q], p.is_capped != 0);
  }
  if (threadIdx.x == 0) seen[0] = 0;
  __syncthreads();
  uint32_t keeps_all = 0;  // a bit a query
  NF_UNROLL
  for (uint32_t j = 0; j < QUERIES; ++j) keeps_all |= (tests[j].keeps_all != 0 ? 1u : 0u) << j;

  uint32_t levels_seen = 0, next_word = begin + warp < end ? live[begin + warp] : 0;
  for (uint32_t group = begin + warp; group < end; group += warps) {
    const uint32_t word = next_word;
    next_word = group + warps < end ? live[group + warps] : 0;
    uint32_t alive = 0;  // a bit a query
    NF_UNROLL
    for (uint32_t j = 0; j < QUERIES; ++j)
      if (q0 + j < p.batch) alive |= (wanted_word(rows, word, group, q0 + j) >> bit & 1) << j;
    if (__any_sync(~0u, alive != 0) == 0) continue;
    const auto read = [&](uint32_t step) {
      const uint32_t l = step >> level_shift, at = step & (steps_of_level - 1);
      const auto* const from = reinterpret_cast<const uint32_t*>(slab.level(l, group)) + 2 * at * kWarp + bit;
      LevelStep found{{load_stream(from), load_stream(from + kWarp)}, 0};
      if (at + 1 == steps_of_level && l + 1 < p.levels) found.tail = __ldg(slab.tails(l, group) + bit);
      return found;
    };
    LevelStep ahead[2] = {};
    RowSides row{};
    if (alive != 0) {
      ahead[0] = read(0);
      if (steps_of_level > 1) ahead[1] = read(1);
      row = sides_of<METRIC>(p, slab.sides(group), bit);
    }
    const uint32_t always = row.is_always_kept ? ~0u : keeps_all;
    int a[QUERIES] = {}, b[QUERIES] = {};
    float left[QUERIES] = {};
    uint32_t level = 0, in_level = 0;
    bool is_left = false;
    for (uint32_t first = 0; first < steps && !is_left; first += 2) {
      NF_UNROLL
      for (uint32_t u = 0; u < 2; ++u) {
        const uint32_t step = first + u;
        if (is_left || step >= steps) continue;
        const int chunk0 = static_cast<int>(ahead[u].words[0] ^ kSignFlips),
                  chunk1 = static_cast<int>(ahead[u].words[1] ^ kSignFlips);
        const float tail = __fmul_rn(__uint2float_rn(ahead[u].tail), row.tail_unit);
        NF_UNROLL
        for (uint32_t j = 0; j < QUERIES; ++j) {
          const int4 q = step < staged_steps ? staged[step * QUERIES + j] : read_step(j, step);
          a[j] = __dp4a(chunk1, q.y, __dp4a(chunk0, q.x, a[j]));
          b[j] = __dp4a(chunk1, q.w, __dp4a(chunk0, q.z, b[j]));
        }
        const bool is_whole = ++in_level == steps_of_level;
        // The second level waits for the test of the first.
        const uint32_t readable = level > 0 ? steps : steps_of_level;
        if (alive != 0 && step + 2 < readable) ahead[u] = read(step + 2);
        if (!is_whole) continue;
        NF_UNROLL
        for (uint32_t j = 0; j < QUERIES; ++j) {
          const float query_tail = __uint_as_float(__ldg(query_of(j) + header + 4 * steps + level + 1));
          const bool kept = stays<METRIC>(tests[j], row, a[j], b[j], query_tail, tail, &left[j]);
          if (!kept && (always >> j & 1) == 0) alive &= ~(1u << j);
        }
        is_left = __any_sync(~0u, alive != 0) == 0;
        if (level == 0 && alive != 0) {
          if (step + 1 < steps) ahead[1 - u] = read(step + 1);
          if (step + 2 < steps) ahead[u] = read(step + 2);
        }
        in_level = 0;
        ++level;
      }
    }
    levels_seen += level;
    NF_UNROLL
    for (uint32_t j = 0; j < QUERIES; ++j) {
      if ((alive >> j & 1) == 0) continue;
      const uint32_t slot = atomicAdd(&counts[q0 + j], 1u);
      if (slot >= p.capacity) continue;
      const uint64_t to = static_cast<uint64_t>(q0 + j) * p.capacity + slot;
      const uint32_t in_store = p.first_row + group * kWarp + bit;
      if (p.is_capped == 0) {
        candidates[to] = in_store;
        continue;
      }
      uint32_t* const value = candidates + to * NEARFIELD_VALUE_WORDS;
      value[0] = in_store;
      value[1] = __float_as_uint(left[j]);
      value[2] = __float_as_uint(row.norm);
      value[3] = row.is_always_kept ? NEARFIELD_EMPTY : __float_as_uint(row.error);
      value[4] = __float_as_uint(row.beta);
    }
  }
  if (bit == 0 && levels_seen != 0) atomicAdd(&seen[0], levels_seen);
  __syncthreads();
  if (threadIdx.x == 0 && seen[0] != 0) atomicAdd(&counts[2 * p.batch], seen[0]);
}

}  // namespace nearfield::cuda
