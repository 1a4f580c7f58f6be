// SPDX-License-Identifier: Apache-2.0
// One workgroup per query: the k best of `lists` sorted lists of k entries and of the best so far. Rank by rank:
// first the heads of all lists, then the second entries of those whose head was good enough, and so on, so that
// what is read depends on k and not on k times the number of lists.
// On the device, because the lists of a batch are much more than its answers: 64 parts of k = 100 for 1000
// queries are 51 MB to read back, the answers 800 KB.
#include "common.wgsl"

const TILE_ROWS: u32 = WG * 2u;

// kernel_params.h: MergeParams.
struct MergeParams {
  batch: u32,
  k: u32,
  lists: u32,       // per query, of part_stride
  part_stride: u32,
  first: u32,       // 1: there is no best so far
  grid_x: u32,
  reserved0: u32,
  reserved1: u32,
}

@group(0) @binding(0) var<uniform> params: array<MergeParams, 2>; // see common.wgsl
@group(0) @binding(1) var<storage, read> parts: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> best: array<vec2<u32>>; // [batch][k], sorted
@group(0) @binding(3) var<storage, read_write> limits: array<u32>;
#include "best.wgsl"

var<workgroup> found_any: atomic<u32>; // 1: some list had an entry of this rank

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let P = params[group.z];
  let q = group.x + group.y * P.grid_x;
  if (q >= P.batch) {
    return;
  }
  let limit = limits[q];
  select_init(lane);
  if (P.first == 0u) {
    offer_best(q, P.k, lane);
  }
  let base = q * P.part_stride * P.k;
  var open = EMPTY; // a bit per list of this lane (lane, lane + WG, ...) that may still have an entry; at most 32
  for (var i = 0u; i < P.k; i++) {
    if (lane == 0u) {
      atomicStore(&found_any, 0u);
    }
    workgroupBarrier();
    for (var start = 0u; start < P.lists; start += TILE_ROWS) {
      for (var half = start; half < start + TILE_ROWS; half += WG) {
        let l = half + lane;
        let bit = 1u << (half / WG);
        var entry = vec2<u32>(EMPTY, EMPTY);
        if (l < P.lists && (open & bit) != 0u) {
          entry = parts[base + l * P.k + i];
          if (entry.x != EMPTY && entry.x <= limit && before(entry.x, entry.y, bound_key[0], bound_row[0])) {
            atomicStore(&found_any, 1u);
          } else {
            entry.x = EMPTY;
            open &= ~bit; // the entries that follow are worse
          }
        }
        offer(0u, entry.x, entry.y, limit);
      }
      if (lists_full(lane)) {
        prune(0u, P.k, lane);
      }
    }
    // lists_full was a barrier after the last entry.
    if (lane == 0u) {
      shared_flag = atomicLoad(&found_any);
    }
    if (workgroupUniformLoad(&shared_flag) == 0u) {
      break;
    }
  }
  let n = keep_best(q, P.k, lane);
  if (lane == 0u && n == P.k) {
    limits[q] = min(limit, bound_key[0]);
  }
}
