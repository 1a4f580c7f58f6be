// SPDX-License-Identifier: Apache-2.0
// Coordinates of rows in the axes of a basis. Workgroup: WG / 32 groups of rows, a row a lane, by 8 axes.
#include "coded_rows.wgsl"

const AXES: u32 = 8u;

@group(0) @binding(5) var<storage, read_write> rotated: array<vec4<f32>>; // tile32, in the order of the list

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let P = params[workgroup.z];
  let index = workgroup.x + workgroup.y * P.grid_x;
  let axis_blocks = (P.axis_end - P.axis_begin + AXES - 1u) / AXES;
  let place = index / axis_blocks * (WG / 32u) + (lane >> 5u);
  if (index >= P.workgroups || P.list_begin + place >= P.list_end) {
    return;
  }
  let bit = lane & 31u;
  let group = groups[P.list_begin + place];
  let base = group * P.chunks * 32u + bit;
  let side = side_of(group * 32u + bit);
  let axis = index % axis_blocks * AXES; // from axis_begin
  let first = (1u + axis) * P.chunks;
  var sum: array<vec4<f32>, AXES>;
  for (var i = 0u; i < AXES; i++) {
    sum[i] = vec4<f32>(0.0);
  }
  for (var c = 0u; c < P.chunks; c++) {
    let x = centred(P, base, c, side);
    for (var i = 0u; i < AXES; i++) {
      sum[i] = fma(basis[first + i * P.chunks + c], x, sum[i]);
    }
  }
  for (var h = 0u; h < AXES / 4u; h++) {
    let chunk = (P.axis_begin + axis) / 4u + h;
    var y: vec4<f32>;
    for (var i = 0u; i < 4u; i++) {
      let s = sum[h * 4u + i];
      y[i] = (s.x + s.z) + (s.y + s.w);
    }
    if (chunk < P.chunks) {
      rotated[(place * P.chunks + chunk) * 32u + bit] = y;
    }
  }
}
