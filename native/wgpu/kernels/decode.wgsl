// SPDX-License-Identifier: Apache-2.0
// Rows from their int8 codes (code_layout.hpp): v = m + R' (s c), a row a lane, by 8 dimensions. A coordinate is one
// sum in the order of the axes.
#include "code_layout.wgsl"

const DIM_CHUNKS: u32 = 2u;

// kernel_params.h: DecodingParams.
struct DecodingParams {
  chunks: u32,    // of 4 dimensions of a row
  row_begin: u32, // rows of the slab, or entries of `rows`
  row_end: u32,
  has_list: u32,
  to_begin: u32,
  groups: u32,    // of the slab
  levels: u32,
  level_chunks: u32,
  has_mean: u32,
  is_rotated: u32,
  axis_begin: u32,
  axis_end: u32,
  is_last: u32,
  has_side: u32,
  grid_x: u32,
  reserved: u32,
}

@group(0) @binding(0) var<uniform> params: array<DecodingParams, 2>; // see common.wgsl
@group(0) @binding(1) var<storage, read> codes: array<u32>;
@group(0) @binding(2) var<storage, read> sides: array<f32>;
@group(0) @binding(3) var<storage, read> basis: array<vec4<f32>>; // the mean, then axes
@group(0) @binding(4) var<storage, read> rows: array<u32>;
@group(0) @binding(5) var<storage, read_write> vectors: array<vec4<f32>>; // tile32
@group(0) @binding(6) var<storage, read_write> vector_sides: array<f32>;

// Chunk c of s times the codes of a row: exact, 8 and 7 bits.
fn scaled(slab: CodedSlab, group: u32, bit: u32, c: u32, scale: f32) -> vec4<f32> {
  let word = codes[level_at(slab, c / slab.level_chunks, group) + c % slab.level_chunks * 32u + bit];
  return scale * vec4<f32>(codes_of(word));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let P = params[workgroup.z];
  let index = workgroup.x + workgroup.y * P.grid_x;
  let blocks = (P.chunks + DIM_CHUNKS - 1u) / DIM_CHUNKS;
  let place = index / blocks * WG + lane;
  if (place >= P.row_end - P.row_begin) {
    return;
  }
  var row = P.row_begin + place;
  if (P.has_list != 0u) {
    row = rows[row];
  }
  let group = row >> 5u;
  let bit = row & 31u;
  let slab = CodedSlab(P.groups, P.levels, P.level_chunks, PLANES);
  let scale = bitcast<f32>((codes[sides_at(slab, group) + bit / 2u] >> (bit % 2u * 16u)) << 16u);
  let to = P.to_begin + place;
  let base = (to >> 5u) * P.chunks * 32u + (to & 31u);
  let first = index % blocks * DIM_CHUNKS;
  let end = min(first + DIM_CHUNKS, P.chunks);
  var v: array<vec4<f32>, DIM_CHUNKS>;
  for (var h = 0u; h < DIM_CHUNKS; h++) {
    v[h] = vec4<f32>(0.0);
  }
  if (P.is_rotated != 0u) {
    if (P.axis_begin != 0u) {
      for (var c = first; c < end; c++) {
        v[c - first] = vectors[base + c * 32u];
      }
    }
    for (var axis = P.axis_begin; axis < P.axis_end; axis += 4u) {
      let y = scaled(slab, group, bit, axis / 4u, scale);
      for (var i = 0u; i < 4u; i++) {
        let of_axis = (1u + axis - P.axis_begin + i) * P.chunks;
        // The last block may have one chunk: that is computed twice.
        for (var h = 0u; h < DIM_CHUNKS; h++) {
          v[h] = fma(basis[of_axis + min(first + h, P.chunks - 1u)], vec4<f32>(y[i]), v[h]);
        }
      }
    }
  } else {
    for (var c = first; c < end; c++) {
      v[c - first] = scaled(slab, group, bit, c, scale);
    }
  }
  for (var c = first; c < end; c++) {
    var value = v[c - first];
    if (P.has_mean != 0u && P.is_last != 0u) {
      value = value + basis[c];
    }
    vectors[base + c * 32u] = value;
  }
  if (P.has_side != 0u && first == 0u) {
    vector_sides[to] = sides[row];
  }
}
