// SPDX-License-Identifier: Apache-2.0
// Bounds of the ranks of a tile of rows by a tile of queries, both int8 codes, by simdgroup matrices
// (kernel_params.h: CodedProductParams). Codes become halves, which hold them exactly, and their products add
// up in f32, which holds whole numbers below 2^24. No product is stored: a row that a query's limit cannot
// rule out becomes a candidate.
#ifndef NEARFIELD_METAL_CODED_PRODUCT_H
#define NEARFIELD_METAL_CODED_PRODUCT_H

#include "fragment.h"
#include "pair_bounds.h"
#include "rows.h"

namespace nearfield {
namespace kernels {

// A threadgroup's tile: QUERIES queries, 64 or 32, by 64 rows. Each of its four simdgroups has half of the
// queries by half of the rows: 4 x 4 fragments, or 2 x 4.
constant constexpr uint PRODUCT_ROWS = 64;
constant constexpr uint PRODUCT_ROW_FRAGMENTS = PRODUCT_ROWS / 2 / 8;
// Staged at a time: 32 dimensions.
constant constexpr uint CODE_CHUNKS = 8;
// From one row to the next, in halves: 8 beyond those staged, so that the eight rows of a fragment, 16 bytes
// each, lie in different banks.
constant constexpr uint CODE_STRIDE = CODE_CHUNKS * 4 + 8;
// Dimensions of one f32 sum, in chunks: 1,024 products of at most 127^2 are below 2^24. Sums of longer rows
// are totals of pieces, for which only tiles of 32 queries have the registers.
constant constexpr uint PIECE_CHUNKS = 256;
// Products that a lane judges of those that are in memory at once, of one query.
constant constexpr uint JUDGED = 16;
// Floats beyond the rows in memory, from one query to the next: two lanes of a simdgroup meet in a bank.
constant constexpr uint PRODUCT_PADDING = 2;

// Four codes of 128 more, by the bits of 1024 + 128 + code: dimensions 0, 2, 1 and 3 of the chunk, in which
// order makes no difference to a product.
inline void unpack(uint word, threadgroup half2* to) {
  const half2 zero = half2(half(1152.0f));
  to[0] = as_type<half2>(0x64006400u | (word & 0x00ff00ffu)) - zero;
  to[1] = as_type<half2>(0x64006400u | ((word >> 8) & 0x00ff00ffu)) - zero;
}

// A lane's row on its way to threadgroup memory.
struct CodeRow {
  device const uint* words;  // of its first chunk
  uint level_words;          // from one level to the next
  bool is_present;           // else zeros
};

// Words of a slab's codes are less than 2^32: it has 1 GiB of rows.
inline CodeRow code_row(device const uchar* codes, uint groups, uint level_chunks, uint group, uint bit,
                        bool is_present) {
  const CodeRow row = {reinterpret_cast<device const uint*>(codes) + (group * level_chunks * 32 + bit),
                       groups * level_chunks * 32, is_present};
  return row;
}

// All lanes: chunks [first, first + CODE_CHUNKS) of ROWS rows, `row` being lane % ROWS of them; zeros from
// `chunks` on.
template <uint ROWS>
inline void stage_codes(thread const CodeRow& row, uint level_shift, uint first, uint chunks, uint lane,
                        threadgroup half* to) {
  threadgroup half2* at = reinterpret_cast<threadgroup half2*>(to + lane % ROWS * CODE_STRIDE);
  for (uint chunk = lane / ROWS; chunk < CODE_CHUNKS; chunk += LANES / ROWS) {
    const uint c = first + chunk;
    uint word = CODE_ZERO_WORD;
    if (row.is_present && c < chunks)
      word = row.words[(c >> level_shift) * row.level_words + (c & ((1u << level_shift) - 1)) * 32];
    unpack(word, at + chunk * 2);
  }
}

// All lanes: adds the products of what is staged, of a simdgroup's queries and rows.
template <uint FRAGMENTS>
inline void add_products(threadgroup const half* queries, threadgroup const half* rows,
                         thread Fragment (&sums)[FRAGMENTS][PRODUCT_ROW_FRAGMENTS]) {
  for (uint d = 0; d < CODE_CHUNKS * 4; d += 8) {
    CodeFragment q[FRAGMENTS];
    CodeFragment v[PRODUCT_ROW_FRAGMENTS];
    NF_UNROLL
    for (uint i = 0; i < FRAGMENTS; ++i) load(q[i], queries + i * 8 * CODE_STRIDE + d, CODE_STRIDE);
    NF_UNROLL
    for (uint j = 0; j < PRODUCT_ROW_FRAGMENTS; ++j)
      load_transposed(v[j], rows + j * 8 * CODE_STRIDE + d, CODE_STRIDE);
    NF_UNROLL
    for (uint i = 0; i < FRAGMENTS; ++i) {
      NF_UNROLL
      for (uint j = 0; j < PRODUCT_ROW_FRAGMENTS; ++j) multiply_accumulate(sums[i][j], q[i], v[j]);
    }
  }
}

template <int METRIC>
inline device const ushort* sides_of_row(device const uchar* codes, thread const CodedSlab<METRIC>& slab,
                                         uint group, uint bit) {
  return reinterpret_cast<device const ushort*>(codes + slab.sides(group)) + bit;
}

// JUDGED neighbouring rows of one group by one query, a lane's.
struct Pairs {
  uint query, group, bit;
  uint seen;  // a bit a row that may be returned
  device const ushort* query_sides;
  device const ushort* sides;
  device const ProductQuery* terms;
  threadgroup const float* products;
  threadgroup const float4* tests;
};

template <int METRIC>
inline RankBounds bounds_of(constant CodedProductParams& p, thread const Pairs& pairs, uint r) {
  const Coded row = coded_of<METRIC>(p, pairs.sides + r);
  const Coded query = coded_of<L2>(p, pairs.query_sides);
  return rank_bounds<METRIC>(p, row, query, *pairs.terms, pairs.products[r]);
}

// The least key of upper bounds.
template <int METRIC>
inline uint least_upper(constant CodedProductParams& p, thread const Pairs& pairs) {
  uint least = NEARFIELD_EMPTY;
  for (uint left = pairs.seen; left != 0; left &= left - 1)
    least = min(least, rank_key(bounds_of<METRIC>(p, pairs, ctz(left)).upper));
  return least;
}

// Appends what the limit cannot rule out.
template <int METRIC>
inline void keep_near(constant CodedProductParams& p, thread const Pairs& pairs, uint limit,
                      device atomic_uint* counts, device uint* candidates) {
  const QueryTest test = query_test<METRIC>(p, coded_of<L2>(p, pairs.query_sides), *pairs.terms, limit);
  uint kept = 0;
  for (uint r = 0; r < JUDGED; ++r)
    if (stays<METRIC>(test, pairs.tests[r], pairs.products[r])) kept |= 1u << r;
  kept &= pairs.seen;
  if (kept == 0) return;
  uint slot = atomic_fetch_add_explicit(&counts[pairs.query], popcount(kept), memory_order_relaxed);
  const ulong plane = ulong(p.batch) * p.capacity;
  for (; kept != 0 && slot < p.capacity; kept &= kept - 1, ++slot) {
    const uint r = ctz(kept);
    const RankBounds bounds = bounds_of<METRIC>(p, pairs, r);
    device uint* to = candidates + ulong(pairs.query) * p.capacity + slot;
    to[0] = p.first_row + pairs.group * 32 + pairs.bit + r;
    to[plane] = lower_key(bounds.lower);
    to[2 * plane] = rank_key(bounds.upper);
  }
}

// queries: codes as of rows of L2. candidates: planes [3][batch][capacity]; of a sample keys
// [batch][part_stride], a part being a tile of rows.
template <int METRIC, uint QUERIES, uint CAPACITY>
[[kernel]] void coded_product(
    constant CodedProductParams& p [[buffer(0)]], device const uchar* codes [[buffer(1)]],
    device const uint* live [[buffer(2)]], device const uint* masks [[buffer(3)]],
    device const uchar* queries [[buffer(4)]], device const ProductQuery* terms [[buffer(5)]],
    device const uint* limits [[buffer(6)]], device atomic_uint* counts [[buffer(7)]],
    device uint* candidates [[buffer(8)]], uint3 position [[threadgroup_position_in_grid]],
    uint lane [[thread_index_in_threadgroup]], uint quarter [[simdgroup_index_in_threadgroup]]) {
  constexpr bool IN_PIECES = QUERIES == 32;
  constexpr uint FRAGMENTS = QUERIES / 2 / 8;
  // Rows whose products are in memory at once: as many as all lanes judge.
  constexpr uint AT_ONCE = LANES / QUERIES * JUDGED;
  constexpr uint STRIDE = AT_ONCE + PRODUCT_PADDING;
  // In float4. Products and the rows' part of the test take the place of the codes.
  constexpr uint STAGED = (QUERIES + PRODUCT_ROWS) * CODE_STRIDE / 8;
  constexpr uint PRODUCTS = QUERIES * STRIDE / 4;
  constexpr uint SHARED = STAGED > PRODUCTS + PRODUCT_ROWS ? STAGED : PRODUCTS + PRODUCT_ROWS;
  NF_SHARED(float4, shared, SHARED);
  threadgroup half* staged_queries = reinterpret_cast<threadgroup half*>(shared);
  threadgroup half* staged_rows = staged_queries + QUERIES * CODE_STRIDE;
  threadgroup float* products = reinterpret_cast<threadgroup float*>(shared);
  threadgroup float4* tests = shared + PRODUCTS;

  const uint index = position.x + position.y * p.grid_x;
  if (index >= p.workgroups) return;
  const uint first_query = index % p.query_tiles * QUERIES;
  const uint first_tile = index / p.query_tiles * p.tiles_per_workgroup;
  const uint tile_end = min(first_tile + p.tiles_per_workgroup, p.tiles);
  const uint first_of_queries = quarter / 2 * (QUERIES / 2);  // of the simdgroup
  const uint first_of_rows = quarter % 2 * (PRODUCT_ROWS / 2);
  const uint chunks = p.levels * p.level_chunks;
  const uint level_shift = 31 - clz(p.level_chunks);
  const Rows seen_rows = {nullptr, nullptr, live, nullptr, masks};
  const CodedSlab<METRIC> slab = {p.groups, p.levels, p.level_chunks};
  const CodedSlab<L2> coded_queries = {p.query_groups, p.levels, p.level_chunks};
  const CodeRow staged_query =
      code_row(queries, p.query_groups, p.level_chunks, (first_query + lane % QUERIES) / 32, lane % 32, true);
  const uint query = first_query + lane % QUERIES;  // that the lane judges
  const uint judged = lane / QUERIES * JUDGED;      // rows from there on of those in memory

  for (uint tile = first_tile; tile < tile_end; ++tile) {
    const uint first_group = p.group_begin + tile * p.apart;
    // Only live rows are read: what is not was perhaps never coded.
    const uint staged_group = first_group + lane % PRODUCT_ROWS / 32;
    const bool is_present = staged_group < p.group_end && ((live[staged_group] >> (lane % 32)) & 1) != 0;
    const CodeRow staged_row = code_row(codes, p.groups, p.level_chunks, staged_group, lane % 32, is_present);
    int totals[JUDGED];
    if (IN_PIECES) {
      NF_UNROLL
      for (uint i = 0; i < JUDGED; ++i) totals[i] = 0;
    }
    uint least = NEARFIELD_EMPTY;
    for (uint piece = 0; piece < chunks; piece += PIECE_CHUNKS) {
      const uint piece_end = min(piece + PIECE_CHUNKS, chunks);
      Fragment sums[FRAGMENTS][PRODUCT_ROW_FRAGMENTS];
      NF_UNROLL
      for (uint i = 0; i < FRAGMENTS; ++i) {
        NF_UNROLL
        for (uint j = 0; j < PRODUCT_ROW_FRAGMENTS; ++j) sums[i][j] = zero_fragment();
      }
      for (uint first = piece; first < piece_end; first += CODE_CHUNKS) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        stage_codes<QUERIES>(staged_query, level_shift, first, chunks, lane, staged_queries);
        stage_codes<PRODUCT_ROWS>(staged_row, level_shift, first, chunks, lane, staged_rows);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        add_products<FRAGMENTS>(staged_queries + first_of_queries * CODE_STRIDE,
                                staged_rows + first_of_rows * CODE_STRIDE, sums);
      }
      for (uint in_memory = 0; in_memory < PRODUCT_ROWS; in_memory += AT_ONCE) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (first_of_rows / AT_ONCE == in_memory / AT_ONCE) {
          threadgroup float* to = products + first_of_queries * STRIDE + first_of_rows % AT_ONCE;
          NF_UNROLL
          for (uint i = 0; i < FRAGMENTS; ++i) {
            NF_UNROLL
            for (uint j = 0; j < PRODUCT_ROW_FRAGMENTS; ++j)
              store(sums[i][j], to + i * 8 * STRIDE + j * 8, STRIDE);
          }
        }
        if (in_memory == 0 && lane < PRODUCT_ROWS) {
          tests[lane] = float4(0.0f);
          if (is_present)
            tests[lane] =
                row_test<METRIC>(p, coded_of<METRIC>(p, sides_of_row(codes, slab, staged_group, lane % 32)));
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        threadgroup float* of_query = products + lane % QUERIES * STRIDE + judged;
        if (IN_PIECES) {
          NF_UNROLL
          for (uint i = 0; i < JUDGED; ++i) {
            totals[i] += int(of_query[i]);
            of_query[i] = float(totals[i]);
          }
        }
        const uint row = in_memory + judged;  // of the tile
        const uint group = first_group + row / 32;
        if (piece_end < chunks || query >= p.batch || group >= p.group_end) continue;
        const uint seen = (wanted(p, seen_rows, group, query) >> (row % 32)) & ((1u << JUDGED) - 1);
        if (seen == 0) continue;
        const Pairs pairs = {query,
                             group,
                             row % 32,
                             seen,
                             sides_of_row(queries, coded_queries, query / 32, query % 32),
                             sides_of_row(codes, slab, group, row % 32),
                             terms + query,
                             of_query,
                             tests + row};
        if (p.is_sample != 0)
          least = min(least, least_upper<METRIC>(p, pairs));
        else
          keep_near<METRIC>(p, pairs, limits[query], counts, candidates);
      }
    }
    if (p.is_sample == 0) continue;
    // A query's rows were judged by every QUERIES-th lane.
    threadgroup uint* of_lanes = reinterpret_cast<threadgroup uint*>(shared);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    of_lanes[lane] = least;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (lane >= QUERIES || query >= p.batch) continue;
    for (uint other = lane + QUERIES; other < LANES; other += QUERIES) least = min(least, of_lanes[other]);
    candidates[ulong(query) * p.part_stride + p.part_base + tile] = least;
  }
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_CODED_PRODUCT_H
