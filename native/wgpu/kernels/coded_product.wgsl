// SPDX-License-Identifier: Apache-2.0
// Bounds of the ranks of a tile of 64 rows by QB queries, both int8 codes, multiplied from workgroup memory. No product
// is stored: a row that a query's limit cannot rule out becomes a candidate.
//
// A lane has four rows by eight queries. Codes lie as [chunk of 4 dimensions][32 rows], a word each, for rows and
// queries alike: 16 bytes of a chunk are four rows.
#include "pair_bounds.wgsl"

@group(0) @binding(0) var<uniform> params: array<CodedProductParams, 2>; // see common.wgsl
@group(0) @binding(1) var<storage, read> codes: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> live: array<u32>;
@group(0) @binding(3) var<storage, read> masks: array<u32>; // per query an offset or EMPTY, then the words
@group(0) @binding(4) var<storage, read> queries: array<vec4<u32>>; // their codes
@group(0) @binding(5) var<storage, read> terms: array<ProductQuery>;
@group(0) @binding(6) var<storage, read> limits: array<u32>;
@group(0) @binding(7) var<storage, read_write> counts: array<atomic<u32>>; // [batch]
@group(0) @binding(8) var<storage, read_write> candidates: array<u32>; // [3][batch][capacity]; sample: parts

const ROW_QUADS: u32 = 16u;
const QUERY_QUADS: u32 = QB / 4u;
const LANES: u32 = ROW_QUADS * QUERY_QUADS / 2u;
const GROUP_QUADS: u32 = 8u;
const GROUPS: u32 = ROW_QUADS / GROUP_QUADS; // of a tile, each a part of a sample
const STEP: u32 = 16u;                       // chunks in workgroup memory: 8 KiB of 64 queries
const FLIPS: u32 = 0x80808080u;              // codes come with 128 added

var<workgroup> row_steps: array<vec4<u32>, STEP * ROW_QUADS>;
var<workgroup> query_steps: array<vec4<u32>, STEP * QUERY_QUADS>;
var<workgroup> tests: array<PairTest, QB>;
var<workgroup> coded: array<Coded, QB>;
var<workgroup> least: array<atomic<u32>, QB * GROUPS>; // sample: keys

// Of the four rows by each query. No array: one that is indexed by a variable anywhere lies in memory.
struct Sums {
  q0: vec4<i32>,
  q1: vec4<i32>,
  q2: vec4<i32>,
  q3: vec4<i32>,
  q4: vec4<i32>,
  q5: vec4<i32>,
  q6: vec4<i32>,
  q7: vec4<i32>,
}

fn slab_of_rows(P: CodedProductParams) -> CodedSlab {
  return CodedSlab(P.groups, P.levels, P.level_chunks, PLANES);
}

fn slab_of_queries(P: CodedProductParams) -> CodedSlab {
  return CodedSlab(P.query_groups, P.levels, P.level_chunks, 3u);
}

// Where chunk c of a group lies, in quads of rows.
fn chunk_at(slab: CodedSlab, group: u32, c: u32) -> u32 {
  let level = c / slab.level_chunks;
  return level_at(slab, level, group) / 4u + (c - level * slab.level_chunks) * GROUP_QUADS;
}

// The chunks [begin, begin + count) of the tile's rows and queries.
fn stage(P: CodedProductParams, group0: u32, q0: u32, begin: u32, count: u32, lane: u32) {
  for (var i = lane; i < count * ROW_QUADS; i += LANES) {
    let quad = i % ROW_QUADS;
    let group = min(group0 + quad / GROUP_QUADS, P.group_end - 1u);
    let at = chunk_at(slab_of_rows(P), group, begin + i / ROW_QUADS) + quad % GROUP_QUADS;
    row_steps[i] = codes[at] ^ vec4<u32>(FLIPS);
  }
  for (var i = lane; i < count * QUERY_QUADS; i += LANES) {
    let quad = i % QUERY_QUADS;
    let at = chunk_at(slab_of_queries(P), (q0 >> 5u) + quad / GROUP_QUADS, begin + i / QUERY_QUADS);
    query_steps[i] = queries[at + quad % GROUP_QUADS] ^ vec4<u32>(FLIPS);
  }
}

fn dots(rows: vec4<u32>, query: u32) -> vec4<i32> {
  return vec4<i32>(dot4(rows.x, query), dot4(rows.y, query), dot4(rows.z, query), dot4(rows.w, query));
}

fn multiply(sums: ptr<function, Sums>, c: u32, quad: u32, octet: u32) {
  let rows = row_steps[c * ROW_QUADS + quad];
  let low = query_steps[c * QUERY_QUADS + 2u * octet];
  let high = query_steps[c * QUERY_QUADS + 2u * octet + 1u];
  (*sums).q0 += dots(rows, low.x);
  (*sums).q1 += dots(rows, low.y);
  (*sums).q2 += dots(rows, low.z);
  (*sums).q3 += dots(rows, low.w);
  (*sums).q4 += dots(rows, high.x);
  (*sums).q5 += dots(rows, high.y);
  (*sums).q6 += dots(rows, high.z);
  (*sums).q7 += dots(rows, high.w);
}

// The half of a word that is the value of a row or query.
fn query_side(at: u32, plane: u32, bit: u32) -> u32 {
  return (queries[at + plane * 4u + (bit >> 3u)][(bit >> 1u) & 3u] >> ((bit & 1u) * 16u)) & 0xffffu;
}

fn query_of(P: CodedProductParams, q: u32) -> Coded {
  let at = sides_at(slab_of_queries(P), q >> 5u) / 4u;
  let bit = q & 31u;
  return coded_of(P, query_side(at, 0u, bit), query_side(at, 1u, bit), query_side(at, 2u, bit));
}

// Of a quad of a group's rows.
fn row_sides(at: u32, plane: u32, quad: u32) -> vec4<u32> {
  let eight = codes[at + plane * 4u + quad / 2u];
  let words = select(eight.xy, eight.zw, (quad & 1u) != 0u);
  return vec4<u32>(words.x & 0xffffu, words.x >> 16u, words.y & 0xffffu, words.y >> 16u);
}

fn rows_of(P: CodedProductParams, group: u32, quad: u32) -> CodedRows {
  let at = sides_at(slab_of_rows(P), group) / 4u;
  let errors = row_sides(at, 2u, quad);
  var rows: CodedRows;
  rows.scale = bitcast<vec4<f32>>(row_sides(at, 0u, quad) << vec4<u32>(16u));
  rows.norm = vec4<f32>(row_sides(at, 1u, quad)) * P.norm_unit * rows.scale;
  rows.error = vec4<f32>(errors) * P.error_unit * rows.scale;
  rows.beta = vec4<f32>(0.0);
  if (METRIC == POINCARE) {
    rows.beta = vec4<f32>(row_sides(at, 3u, quad)) * P.beta_unit;
  }
  let bits = select(vec4<u32>(0u), vec4<u32>(1u, 2u, 4u, 8u), errors == vec4<u32>(ALWAYS_KEEP));
  rows.always_kept = (bits.x | bits.y) | (bits.z | bits.w);
  return rows;
}

// Of row i % 4 by query i / 4.
fn sum_of(sums: Sums, i: u32) -> i32 {
  let odd = (i & 4u) != 0u;
  let low = select(select(sums.q0, sums.q1, odd), select(sums.q2, sums.q3, odd), (i & 8u) != 0u);
  let high = select(select(sums.q4, sums.q5, odd), select(sums.q6, sums.q7, odd), (i & 8u) != 0u);
  let four = select(low, high, (i & 16u) != 0u);
  let two = select(four.xy, four.zw, (i & 2u) != 0u);
  return select(two.x, two.y, (i & 1u) != 0u);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let P = params[workgroup.z];
  let index = workgroup.x + workgroup.y * P.grid_x;
  if (index >= P.workgroups) {
    return;
  }
  let q0 = index % P.query_tiles * QB;
  let tile_begin = index / P.query_tiles * P.tiles_per_workgroup;
  let tile_end = min(tile_begin + P.tiles_per_workgroup, P.tiles);
  let quad = lane % ROW_QUADS;
  let octet = lane / ROW_QUADS;
  let bit = quad % GROUP_QUADS * 4u; // of the first row, in its group
  let chunks = P.levels * P.level_chunks;
  if (lane < QB) {
    let q = min(q0 + lane, P.batch - 1u);
    let query = query_of(P, q);
    coded[lane] = query;
    tests[lane] = pair_test(P, query, terms[q], limits[q]);
  }

  for (var tile = tile_begin; tile < tile_end; tile++) {
    let group0 = P.group_begin + tile * P.apart;
    var sums = Sums();
    for (var begin = 0u; begin < chunks; begin += STEP) {
      let count = min(STEP, chunks - begin);
      workgroupBarrier(); // everybody has left the step before
      stage(P, group0, q0, begin, count, lane);
      workgroupBarrier();
      for (var c = 0u; c < count; c += 2u) { // a level has at least two
        multiply(&sums, c, quad, octet);
        multiply(&sums, c + 1u, quad, octet);
      }
    }

    let group = group0 + quad / GROUP_QUADS;
    let inside = group < P.group_end;
    let safe = select(P.group_begin, group, inside);
    let wanted = select(0u, (live[safe] >> bit) & 15u, inside);
    let rows = rows_of(P, safe, quad % GROUP_QUADS);
    let of_rows = row_terms(P, rows);
    var left = EMPTY; // pairs that stay, a bit each: row i % 4 by query i / 4
    if (P.is_sample == 0u) {
      let first = octet * 8u;
      left = near_rows(tests[first], rows, of_rows, sums.q0) |
             (near_rows(tests[first + 1u], rows, of_rows, sums.q1) << 4u) |
             (near_rows(tests[first + 2u], rows, of_rows, sums.q2) << 8u) |
             (near_rows(tests[first + 3u], rows, of_rows, sums.q3) << 12u) |
             (near_rows(tests[first + 4u], rows, of_rows, sums.q4) << 16u) |
             (near_rows(tests[first + 5u], rows, of_rows, sums.q5) << 20u) |
             (near_rows(tests[first + 6u], rows, of_rows, sums.q6) << 24u) |
             (near_rows(tests[first + 7u], rows, of_rows, sums.q7) << 28u);
    }
    left &= wanted * 0x11111111u;
    for (var j = 0u; j < 8u; j++) {
      let q = q0 + octet * 8u + j;
      var mine = (left >> (4u * j)) & select(0u, 15u, q < P.batch);
      if (P.has_masks != 0u && mine != 0u) {
        let offset = masks[q];
        if (offset != EMPTY) {
          mine &= masks[offset + (P.first_row >> 5u) + safe] >> bit;
        }
      }
      left = (left & ~(15u << (4u * j))) | (mine << (4u * j));
    }
    if (P.is_sample != 0u) {
      for (var i = lane; i < QB * GROUPS; i += LANES) {
        atomicStore(&least[i], EMPTY);
      }
      workgroupBarrier();
    }
    for (; left != 0u; left &= left - 1u) {
      let i = firstTrailingBit(left);
      let in_tile = octet * 8u + i / 4u;
      let q = q0 + in_tile;
      let r = i % 4u;
      let row = Coded(rows.scale[r], rows.norm[r], rows.error[r], (rows.always_kept >> r) & 1u);
      let bounds = rank_bounds(P, row, rows.beta[r], coded[in_tile], terms[q], sum_of(sums, i));
      if (P.is_sample != 0u) {
        atomicMin(&least[quad / GROUP_QUADS * QB + in_tile], bounds.y);
        continue;
      }
      let slot = atomicAdd(&counts[q], 1u);
      if (slot < P.capacity) {
        let plane = P.batch * P.capacity;
        let to = q * P.capacity + slot;
        candidates[to] = P.first_row + group * 32u + bit + r;
        candidates[to + plane] = bounds.x;
        candidates[to + 2u * plane] = bounds.y;
      }
    }
    if (P.is_sample != 0u) {
      workgroupBarrier();
      for (var i = lane; i < QB * GROUPS; i += LANES) {
        let q = q0 + i % QB;
        if (q < P.batch) {
          candidates[q * P.part_stride + P.part_base + tile * GROUPS + i / QB] = atomicLoad(&least[i]);
        }
      }
    }
  }
}
