// SPDX-License-Identifier: Apache-2.0
// Exact scan with the selection fused: workgroup = one part of a slab's groups by QB queries; out: the part's
// k best of each query, sorted, EMPTY-padded.
#include "rows.wgsl"
#include "select.wgsl"

@group(0) @binding(6) var<storage, read_write> parts: array<vec2<u32>>; // [batch][part_stride][k]
// Per query a key that at least k rows do not exceed: workgroups share it to append less. Any value that was
// true once stays true, so relaxed atomics suffice and the result does not depend on their timing.
@group(0) @binding(7) var<storage, read_write> limits: array<atomic<u32>>;
@group(0) @binding(8) var<storage, read> items: array<vec4<u32>>; // kernel_params.h: WorkItem

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  var P = params[group.z];
  let index = group.x + group.y * P.grid_x;
  if (index >= P.workgroups) {
    return;
  }
  var q0 = index % P.query_blocks * QB;
  var part = index / P.query_blocks;
  var begin = P.group_begin + part * P.groups_per_part;
  var end = min(begin + P.part_groups, P.group_end);
  if (P.has_items != 0u) {
    let item = items[P.item_begin + index];
    begin = item.x;
    end = item.y;
    q0 = item.z;
    part = item.w;
    P.group_begin = begin;
    P.group_end = end;
  }
  select_init(lane);
  for (var tile = begin; tile < end; tile += TILE_GROUPS) {
    score_tile(P, tile, q0, lane);
    for (var j = 0u; j < QB; j++) {
      let limit = atomicLoad(&limits[min(q0 + j, P.batch - 1u)]);
      for (var r = 0u; r < ROWS; r++) {
        offer(j, tile_keys[r * QB + j], tile_rows[r], limit);
      }
    }
    if (lists_full(lane)) {
      for (var j = 0u; j < QB; j++) {
        if (list_size(j, lane) > CAP - TILE_ROWS) {
          prune(j, P.k, lane);
          if (lane == 0u) {
            atomicMin(&limits[q0 + j], bound_key[j]);
          }
        }
      }
    }
  }
  for (var j = 0u; j < QB; j++) {
    let n = prune(j, P.k, lane);
    if (q0 + j < P.batch) {
      let to = ((q0 + j) * P.part_stride + P.part_base + part) * P.k;
      for (var i = lane; i < P.k; i += WG) {
        var entry = vec2<u32>(EMPTY, EMPTY);
        if (i < n) {
          entry = vec2<u32>(list_keys[j * CAP + i], list_rows[j * CAP + i]);
        }
        parts[to + i] = entry;
      }
      if (lane == 0u && n == P.k) {
        atomicMin(&limits[q0 + j], bound_key[j]);
      }
    }
  }
}
