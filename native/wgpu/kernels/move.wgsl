// SPDX-License-Identifier: Apache-2.0
// Moves rows between plain rows and tile32, in any direction: one lane per 16-byte chunk.

#include "common.wgsl"

// kernel_params.h: MoveParams.
struct MoveParams {
  chunks: u32,
  count: u32,     // rows to move
  from_tile: u32, // 1: the source is tile32, 0: plain rows
  to_tile: u32,
  has_side: u32,
  move_begin: u32, // first entry of `moves`
  grid_x: u32,
  reserved: u32,
}

@group(0) @binding(0) var<uniform> params: array<MoveParams, 2>; // see common.wgsl
@group(0) @binding(1) var<storage, read> moves: array<vec2<u32>>; // from, to
@group(0) @binding(2) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> destination: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> source_side: array<f32>;
@group(0) @binding(5) var<storage, read_write> destination_side: array<f32>;

fn place(chunks: u32, row: u32, chunk: u32, tile: u32) -> u32 {
  return select(row * chunks + chunk, (row >> 5u) * chunks * 32u + chunk * 32u + (row & 31u), tile != 0u);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let P = params[group.z];
  let index = (group.x + group.y * P.grid_x) * WG + lane;
  let item = index / P.chunks;
  let chunk = index % P.chunks;
  if (item >= P.count) {
    return;
  }
  let pair = moves[P.move_begin + item];
  destination[place(P.chunks, pair.y, chunk, P.to_tile)] = source[place(P.chunks, pair.x, chunk, P.from_tile)];
  if (P.has_side != 0u && chunk == 0u) {
    destination_side[pair.y] = source_side[pair.x];
  }
}
