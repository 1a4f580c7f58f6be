// SPDX-License-Identifier: Apache-2.0
// Where the codes of a slab lie, in words (code_layout.hpp).
#include "common.wgsl"

struct CodedSlab {
  groups: u32,
  levels: u32,
  level_chunks: u32,
  planes: u32, // of side values
}

// Planes of side values of a metric.
const PLANES: u32 = select(3u, 4u, METRIC == POINCARE);

fn level_at(slab: CodedSlab, level: u32, group: u32) -> u32 {
  return (level * slab.groups + group) * slab.level_chunks * 32u;
}

// What is left of rows after a level, which is not the last.
fn tails_at(slab: CodedSlab, level: u32, group: u32) -> u32 {
  return level_at(slab, slab.levels, 0u) + (level * slab.groups + group) * 8u;
}

fn sides_at(slab: CodedSlab, group: u32) -> u32 {
  return tails_at(slab, slab.levels - 1u, 0u) + group * slab.planes * 16u;
}

// Four codes.
fn codes_of(word: u32) -> vec4<i32> {
  return vec4<i32>(vec4<u32>(word, word >> 8u, word >> 16u, word >> 24u) & vec4<u32>(255u)) - vec4<i32>(128);
}
