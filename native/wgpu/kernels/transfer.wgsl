// SPDX-License-Identifier: Apache-2.0
// Codes and side values of rows from slab to slab: a row of a target group a lane. Bits are copied.
#include "code_layout.wgsl"

const TARGET_WORDS: u32 = 33u; // NEARFIELD_TARGET_WORDS

// kernel_params.h: TransferParams.
struct TransferParams {
  list_begin: u32, // entries of `targets`
  list_end: u32,
  from_groups: u32,
  to_groups: u32,
  levels: u32,
  level_chunks: u32,
  planes: u32,     // of side values among the codes
  has_side: u32,
  grid_x: u32,
  reserved0: u32,
  reserved1: u32,
  reserved2: u32,
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
  let from_slab = CodedSlab(P.from_groups, P.levels, P.level_chunks, P.planes);
  let to_slab = CodedSlab(P.to_groups, P.levels, P.level_chunks, P.planes);
  if (row != EMPTY) {
    for (var l = 0u; l < P.levels; l++) {
      let read_at = level_at(from_slab, l, row >> 5u) + (row & 31u);
      let write_at = level_at(to_slab, l, group) + bit;
      for (var k = 0u; k < P.level_chunks; k++) {
        destination[write_at + k * 32u] = source[read_at + k * 32u];
      }
    }
    if (P.has_side != 0u) {
      destination_sides[group * 32u + bit] = source_sides[row];
    }
  }
  for (var l = 0u; l + 1u < P.levels; l++) {
    transfer_packed(entry, tails_at(from_slab, l, 0u), 8u, tails_at(to_slab, l, group), 8u, bit);
  }
  let side_words = P.planes * 16u; // of a group
  for (var plane = 0u; plane < P.planes; plane++) {
    let at = plane * 16u;
    transfer_packed(entry, sides_at(from_slab, 0u) + at, side_words, sides_at(to_slab, group) + at, 16u, bit);
  }
}
