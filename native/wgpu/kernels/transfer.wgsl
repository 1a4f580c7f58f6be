// SPDX-License-Identifier: Apache-2.0
// Codes and side values of rows from slab to slab: a row of a target group a lane. Bits are copied.
#include "common.wgsl"

const TARGET_WORDS: u32 = 33u; // NEARFIELD_TARGET_WORDS
const PLANES: u32 = 3u;        // of side values: no Poincare

// kernel_params.h: TransferParams.
struct TransferParams {
  list_begin: u32, // entries of `targets`
  list_end: u32,
  from_groups: u32,
  to_groups: u32,
  levels: u32,
  level_chunks: u32,
  has_side: u32,
  grid_x: u32,
}

@group(0) @binding(0) var<uniform> params: array<TransferParams, 2>; // see common.wgsl
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read> source: array<u32>;
@group(0) @binding(3) var<storage, read_write> destination: array<u32>;
@group(0) @binding(4) var<storage, read> source_sides: array<u32>;
@group(0) @binding(5) var<storage, read_write> destination_sides: array<u32>;

// Values of `bits` bits of a group's rows, from where those of its first row are: a word by the lane of its first row.
fn transfer_packed(entry: u32, begin: u32, stride: u32, to: u32, bits: u32, bit: u32) {
  let per_word = 32u / bits;
  if (bit % per_word != 0u) {
    return;
  }
  let mask = (1u << bits) - 1u;
  var word = 0u;
  var kept = 0u; // bits of rows that come from nowhere
  for (var i = 0u; i < per_word; i++) {
    let row = targets[entry + 1u + bit + i];
    if (row == EMPTY) {
      kept |= mask << (i * bits);
    } else {
      let value = source[begin + (row >> 5u) * stride + (row & 31u) / per_word] >> (row % per_word * bits);
      word |= (value & mask) << (i * bits);
    }
  }
  if (kept != 0xffffffffu) {
    if (kept != 0u) {
      word |= destination[to + bit / per_word] & kept;
    }
    destination[to + bit / per_word] = word;
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let P = params[workgroup.z];
  let place = P.list_begin + (workgroup.x + workgroup.y * P.grid_x) * (WG / 32u) + (lane >> 5u);
  if (place >= P.list_end) {
    return;
  }
  let bit = lane & 31u;
  let entry = place * TARGET_WORDS;
  let group = targets[entry];
  let row = targets[entry + 1u + bit];
  let row_words = P.level_chunks * 32u; // of a group and level
  if (row != EMPTY) {
    for (var l = 0u; l < P.levels; l++) {
      let begin = (l * P.from_groups + (row >> 5u)) * row_words + (row & 31u);
      let to = (l * P.to_groups + group) * row_words + bit;
      for (var k = 0u; k < P.level_chunks; k++) {
        destination[to + k * 32u] = source[begin + k * 32u];
      }
    }
    if (P.has_side != 0u) {
      destination_sides[group * 32u + bit] = source_sides[row];
    }
  }
  let from_tails = P.levels * P.from_groups * row_words;
  let to_tails = P.levels * P.to_groups * row_words;
  for (var l = 0u; l + 1u < P.levels; l++) {
    transfer_packed(entry, from_tails + l * P.from_groups * 8u, 8u, to_tails + (l * P.to_groups + group) * 8u, 8u, bit);
  }
  let from_sides = from_tails + (P.levels - 1u) * P.from_groups * 8u;
  let to_sides = to_tails + (P.levels - 1u) * P.to_groups * 8u + group * PLANES * 16u;
  for (var plane = 0u; plane < PLANES; plane++) {
    transfer_packed(entry, from_sides + plane * 16u, PLANES * 16u, to_sides + plane * 16u, 16u, bit);
  }
}
