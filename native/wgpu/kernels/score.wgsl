// SPDX-License-Identifier: Apache-2.0
// Ranks of chosen rows: one lane per (query, row) pair.
#include "common.wgsl"
#include "distance.wgsl"

// kernel_params.h: ScoreParams.
struct ScoreParams {
  chunks: u32,
  pair_begin: u32,
  pair_end: u32,
  workgroups: u32,
  grid_x: u32,
  reserved0: u32,
  reserved1: u32,
  zero: f32,
}

@group(0) @binding(0) var<uniform> params: array<ScoreParams, 2>; // see common.wgsl
@group(0) @binding(1) var<storage, read> vectors: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> sides: array<f32>;
@group(0) @binding(3) var<storage, read> queries: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> pairs: array<vec2<u32>>; // query, row of the slab
@group(0) @binding(5) var<storage, read_write> keys: array<u32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let P = params[group.z];
  let index = P.pair_begin + (group.x + group.y * P.grid_x) * WG + lane;
  if (index >= P.pair_end) {
    return;
  }
  let pair = pairs[index];
  let base = (pair.y >> 5u) * P.chunks * 32u + (pair.y & 31u);
  var side = 0.0;
  if (METRIC == COSINE || METRIC == POINCARE) {
    side = sides[pair.y];
  }
  var sum = vec4<f32>(0.0);
  for (var c = 0u; c < P.chunks; c++) {
    sum = accumulate(queries[pair.x * P.chunks + c], vectors[base + c * 32u], side, P.zero, sum);
  }
  keys[index] = finish(sum, side);
}
