// SPDX-License-Identifier: Apache-2.0
// One workgroup per query: canonical ranks of its candidates of a window, merged with the best so far.
// counts: [batch] candidates of this window, set to 0 for the next unless this goes on; then [batch] sums of the rows
// rescored, with CUT_SHORT where candidates found no room: the best are then real rows, but not surely the best.
#include "common.wgsl"
#include "distance.wgsl"

const TILE_ROWS: u32 = WG;
const CUT_SHORT: u32 = 0x80000000u;

// kernel_params.h: MatrixParams.
struct MatrixParams {
  chunks: u32,
  first_row: u32, // of the slab, in the store
  group_begin: u32,
  group_end: u32,
  batch: u32,
  query_tiles: u32,
  k: u32,
  capacity: u32,  // candidates that a query has room for
  workgroups: u32,
  grid_x: u32,
  has_masks: u32,
  first: u32,     // 1: there is no best so far
  slab_rows: u32, // candidates beyond these rows from first_row on are another slab's
  goes_on: u32,   // 1: the candidates are still needed
  scale: f32,
  zero: f32,
}

@group(0) @binding(0) var<uniform> params: array<MatrixParams, 2>; // see common.wgsl
@group(0) @binding(1) var<storage, read> vectors: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> sides: array<f32>;
@group(0) @binding(3) var<storage, read> queries: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> candidates: array<u32>;
@group(0) @binding(5) var<storage, read_write> counts: array<u32>;
@group(0) @binding(6) var<storage, read_write> best: array<vec2<u32>>; // [batch][k], sorted
@group(0) @binding(7) var<storage, read_write> limits: array<u32>;
#include "best.wgsl"

var<workgroup> shared_held: u32;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let P = params[workgroup.z];
  let q = workgroup.x + workgroup.y * P.grid_x;
  if (q >= P.workgroups) {
    return;
  }
  let limit = limits[q];
  if (lane == 0u) {
    shared_held = min(counts[q], P.capacity);
  }
  let held = workgroupUniformLoad(&shared_held);
  select_init(lane);
  if (P.first == 0u) {
    offer_best(q, P.k, lane);
  }
  for (var start = 0u; start < held; start += WG) {
    var key = EMPTY;
    var row = EMPTY;
    if (start + lane < held) {
      row = candidates[q * P.capacity + start + lane];
      let local = row - P.first_row;
      if (local < P.slab_rows) {
        let base = (local >> 5u) * P.chunks * 32u + (local & 31u);
        var side = 0.0;
        if (METRIC == COSINE || METRIC == POINCARE) {
          side = sides[local];
        }
        var sum = vec4<f32>(0.0);
        for (var c = 0u; c < P.chunks; c++) {
          sum = accumulate(queries[q * P.chunks + c], vectors[base + c * 32u], side, P.zero, sum);
        }
        key = finish(sum, side);
      }
    }
    offer(0u, key, row, limit);
    if (lists_full(lane)) {
      prune(0u, P.k, lane);
    }
  }
  let n = keep_best(q, P.k, lane);
  if (lane == 0u) {
    if (n == P.k) {
      limits[q] = min(limit, bound_key[0]);
    }
    if (P.goes_on == 0u) {
      let count = counts[q];
      let sum = counts[P.batch + q];
      counts[q] = 0u;
      counts[P.batch + q] = (sum + held) | select(sum & CUT_SHORT, CUT_SHORT, count > P.capacity);
    }
  }
}
