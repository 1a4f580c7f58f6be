// SPDX-License-Identifier: Apache-2.0
// Selection for large k. The scan is recomputed for each digit of the composite (key, row): `histogram` counts
// one digit of the rows that match the digits fixed so far, the host fixes the digit that holds the k-th entry;
// `collect` then writes everything not beyond the bound, at most k entries in any order. No score is stored.
// QB is 1 here.
#include "rows.wgsl"

const BINS: u32 = 2048u; // 11 bits: three digits per word, 8 KiB of workgroup memory

struct Digits { // per query; kernel_params.h: Digits
  key: u32,      // histogram: digits fixed so far; collect: the bound
  row: u32,
  key_mask: u32, // histogram: which bits of key and row are fixed
  row_mask: u32,
}

@group(0) @binding(6) var<storage, read> digits: array<Digits>;
@group(0) @binding(7) var<storage, read_write> bins: array<atomic<u32>>; // [batch][BINS]; collect: [batch]
@group(0) @binding(8) var<storage, read_write> out: array<vec2<u32>>; // collect: [batch][k]

var<workgroup> local_bins: array<atomic<u32>, BINS>;

@compute @workgroup_size(WG)
fn histogram(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let P = params[group.z];
  let index = group.x + group.y * P.grid_x;
  if (index >= P.workgroups) {
    return;
  }
  let q = index % P.query_blocks;
  let part = index / P.query_blocks;
  let begin = P.group_begin + part * P.groups_per_part;
  let end = min(begin + P.groups_per_part, P.group_end);
  let fixed = digits[q];
  for (var i = lane; i < BINS; i += WG) {
    atomicStore(&local_bins[i], 0u);
  }
  workgroupBarrier();
  for (var tile = begin; tile < end; tile += TILE_GROUPS) {
    score_tile(P, tile, q, lane);
    for (var r = 0u; r < ROWS; r++) {
      let key = tile_keys[r];
      let row = tile_rows[r];
      if (key != EMPTY && (key & fixed.key_mask) == fixed.key && (row & fixed.row_mask) == fixed.row) {
        let word = select(key, row, P.digit_stage != 0u);
        atomicAdd(&local_bins[(word >> P.digit_shift) & (BINS - 1u)], 1u);
      }
    }
  }
  workgroupBarrier();
  for (var i = lane; i < BINS; i += WG) {
    let n = atomicLoad(&local_bins[i]);
    if (n != 0u) {
      atomicAdd(&bins[q * BINS + i], n);
    }
  }
}

@compute @workgroup_size(WG)
fn collect(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let P = params[group.z];
  let index = group.x + group.y * P.grid_x;
  if (index >= P.workgroups) {
    return;
  }
  let q = index % P.query_blocks;
  let part = index / P.query_blocks;
  let begin = P.group_begin + part * P.groups_per_part;
  let end = min(begin + P.groups_per_part, P.group_end);
  let bound = digits[q];
  for (var tile = begin; tile < end; tile += TILE_GROUPS) {
    score_tile(P, tile, q, lane);
    for (var r = 0u; r < ROWS; r++) {
      let key = tile_keys[r];
      let row = tile_rows[r];
      if (key != EMPTY && !before(bound.key, bound.row, key, row)) {
        let slot = atomicAdd(&bins[q], 1u);
        if (slot < P.k) {
          out[q * P.k + slot] = vec2<u32>(key, row);
        }
      }
    }
  }
}
