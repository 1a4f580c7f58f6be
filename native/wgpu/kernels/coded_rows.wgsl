// SPDX-License-Identifier: Apache-2.0
// What `rotate` and `code` read: rows as codes see them.
#include "common.wgsl"

// kernel_params.h: CodingParams.
struct CodingParams {
  chunks: u32,     // of 4 dimensions of a row
  list_begin: u32, // entries of `groups`
  list_end: u32,
  groups: u32,     // of the slab
  levels: u32,
  level_chunks: u32,
  has_mean: u32,
  is_rotated: u32,
  axis_begin: u32,
  axis_end: u32,
  workgroups: u32,
  grid_x: u32,
  norm_scale: f32,
  error_scale: f32,
  x_scale: f32,
  error_room: f32,
  longest: f32,
  length_room: f32,
  tail_scale: f32,
  zero: f32,
  codes_stay: u32,
  reserved0: u32,
  reserved1: u32,
  reserved2: u32,
}

@group(0) @binding(0) var<uniform> params: array<CodingParams, 2>; // see common.wgsl
@group(0) @binding(1) var<storage, read> vectors: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> sides: array<f32>;
@group(0) @binding(3) var<storage, read> basis: array<vec4<f32>>; // the mean, then axes
@group(0) @binding(4) var<storage, read> groups: array<u32>;

// A chunk of x = w - mean. fma with a zero the compiler cannot see: w is rounded before the mean is taken away
// (distance.wgsl).
fn centred(P: CodingParams, base: u32, c: u32, side: f32) -> vec4<f32> {
  var x = vectors[base + c * 32u];
  if (METRIC == COSINE) {
    x = fma(x, vec4<f32>(side), vec4<f32>(P.zero));
  }
  if (P.has_mean != 0u) {
    x = x - basis[c];
  }
  return x;
}

fn side_of(row: u32) -> f32 {
  if (METRIC == COSINE || METRIC == POINCARE) {
    return sides[row];
  }
  return 0.0;
}
