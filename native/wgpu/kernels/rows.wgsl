// SPDX-License-Identifier: Apache-2.0
// One tile of a scan: WG lanes by ROWS rows by QB queries. A lane owns one row of each of ROWS groups, reads
// 16 bytes of it a step (tile32, coalesced) and keeps QB * ROWS accumulators in registers.
#include "common.wgsl"
#include "distance.wgsl"

const ROWS: u32 = 2u;
const AHEAD: u32 = 4u;
const TILE_GROUPS: u32 = WG / 32u * ROWS;
const TILE_ROWS: u32 = WG * ROWS;

// kernel_params.h: ScanParams, the same fields in the same order.
struct ScanParams {
  chunks: u32,          // of 4 dimensions
  first_row: u32,       // of the slab, in the store
  group_begin: u32,     // this dispatch's groups of the slab
  group_end: u32,
  groups_per_part: u32, // a multiple of TILE_GROUPS
  query_blocks: u32,    // ceil(batch / QB)
  batch: u32,           // queries of this chunk
  k: u32,
  workgroups: u32,      // parts * query_blocks
  grid_x: u32,          // workgroups along x
  part_base: u32,       // first list this dispatch writes
  part_stride: u32,     // lists per query
  has_masks: u32,
  digit_stage: u32,     // radix.wgsl: 0 = digits of the key, 1 = digits of the row
  digit_shift: u32,
  zero: f32,            // 0.0
  part_groups: u32,     // flat: of a part's groups, the first ones that are scanned: fewer for a sample
  has_items: u32,
  item_begin: u32,
  reserved: u32,
}

@group(0) @binding(0) var<uniform> params: array<ScanParams, 2>; // see common.wgsl
@group(0) @binding(1) var<storage, read> vectors: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> sides: array<f32>;
@group(0) @binding(3) var<storage, read> live: array<u32>;
@group(0) @binding(4) var<storage, read> queries: array<vec4<f32>>; // batch rounded up to QB rows
@group(0) @binding(5) var<storage, read> masks: array<u32>; // per query an offset or EMPTY, then the words

const HAS_SIDE: bool = METRIC == COSINE || METRIC == POINCARE;

var<private> tile_keys: array<u32, QB * ROWS>;   // [r * QB + j]; EMPTY: not to be returned
var<private> tile_rows: array<u32, ROWS>;        // row numbers in the store

// Keys of this lane's rows of the tile that starts at `tile`, as far as they lie before P.group_end, for the queries from `q0`.
fn score_tile(P: ScanParams, tile: u32, q0: u32, lane: u32) {
  var wanted: array<u32, QB * ROWS>;
  var base: array<u32, ROWS>;
  var side: array<f32, ROWS>;
  var any = 0u;
  for (var r = 0u; r < ROWS; r++) {
    let group = tile + (lane >> 5u) + r * (WG / 32u);
    let inside = group < P.group_end;
    let safe = select(P.group_begin, group, inside);
    let bit = lane & 31u;
    let word = select(0u, live[safe], inside);
    tile_rows[r] = P.first_row + safe * 32u + bit;
    base[r] = safe * P.chunks * 32u + bit;
    side[r] = 0.0;
    if (HAS_SIDE) {
      side[r] = sides[safe * 32u + bit];
    }
    for (var j = 0u; j < QB; j++) {
      var w = select(0u, word, q0 + j < P.batch);
      if (P.has_masks != 0u && w != 0u) {
        let offset = masks[q0 + j];
        if (offset != EMPTY) {
          w &= masks[offset + (P.first_row >> 5u) + safe];
        }
      }
      let mine = (w >> bit) & 1u;
      wanted[r * QB + j] = mine;
      any |= mine;
    }
  }
  var sum: array<vec4<f32>, QB * ROWS>;
  for (var i = 0u; i < QB * ROWS; i++) {
    sum[i] = vec4<f32>(0.0);
  }
  if (any != 0u) {
    // Four chunks a step: the reads of their rows, 128 bytes a lane, are under way together.
    var c = 0u;
    for (; c + AHEAD <= P.chunks; c += AHEAD) {
      var v: array<vec4<f32>, AHEAD * ROWS>;
      for (var a = 0u; a < AHEAD; a++) {
        for (var r = 0u; r < ROWS; r++) {
          v[a * ROWS + r] = vectors[base[r] + (c + a) * 32u];
        }
      }
      for (var a = 0u; a < AHEAD; a++) {
        for (var j = 0u; j < QB; j++) {
          let q = queries[(q0 + j) * P.chunks + c + a];
          for (var r = 0u; r < ROWS; r++) {
            sum[r * QB + j] = accumulate(q, v[a * ROWS + r], side[r], P.zero, sum[r * QB + j]);
          }
        }
      }
    }
    for (; c < P.chunks; c++) {
      var v: array<vec4<f32>, ROWS>;
      for (var r = 0u; r < ROWS; r++) {
        v[r] = vectors[base[r] + c * 32u];
      }
      for (var j = 0u; j < QB; j++) {
        let q = queries[(q0 + j) * P.chunks + c];
        for (var r = 0u; r < ROWS; r++) {
          sum[r * QB + j] = accumulate(q, v[r], side[r], P.zero, sum[r * QB + j]);
        }
      }
    }
  }
  for (var r = 0u; r < ROWS; r++) {
    for (var j = 0u; j < QB; j++) {
      tile_keys[r * QB + j] = select(EMPTY, finish(sum[r * QB + j], side[r]), wanted[r * QB + j] != 0u);
    }
  }
}
