// SPDX-License-Identifier: Apache-2.0
// A scan of int8 codes by levels: a lane owns a row and leaves it at the first level whose bound rules it out for all
// of QB queries; what no level rules out becomes a candidate. Workgroup: one part of a slab's groups by QB queries.
#include "code_layout.wgsl"

const ALWAYS_KEEP: u32 = 65535u;
const HEADER: u32 = 16u;     // words of CodeQuery
const VALUE_WORDS: u32 = 5u; // of a candidate with its value

// kernel_params.h: LevelsParams.
struct LevelsParams {
  first_row: u32,       // of the slab, in the store
  group_begin: u32,
  group_end: u32,
  groups_per_part: u32,
  groups: u32,          // of the slab
  levels: u32,
  level_chunks: u32,
  query_begin: u32,     // words
  query_words: u32,
  query_blocks: u32,    // ceil(batch / QB)
  batch: u32,
  capacity: u32,        // candidates of a query
  workgroups: u32,      // parts * query_blocks
  grid_x: u32,
  has_masks: u32,
  is_capped: u32,
  norm_unit: f32,
  tail_unit: f32,
  error_unit: f32,
  beta_unit: f32,
  has_items: u32,
  item_begin: u32,
  reserved0: u32,
  reserved1: u32,
}

// kernel_params.h: CodeQuery.
struct Test {
  scale_a: f32,
  scale_b: f32,
  shrink: f32,
  query: f32,
  widen: f32,
  per_error: f32,
  per_norm: f32,
  base: f32,
  gain: f32,
}

@group(0) @binding(0) var<uniform> params: array<LevelsParams, 2>; // see common.wgsl
@group(0) @binding(1) var<storage, read> codes: array<u32>;
@group(0) @binding(2) var<storage, read> live: array<u32>;
@group(0) @binding(3) var<storage, read> masks: array<u32>; // per query an offset or EMPTY, then the words
@group(0) @binding(4) var<storage, read> queries: array<u32>;
@group(0) @binding(5) var<storage, read> limits: array<u32>;
@group(0) @binding(6) var<storage, read_write> counts: array<atomic<u32>>; // [batch], [batch] sums, levels seen
@group(0) @binding(7) var<storage, read_write> candidates: array<u32>; // [batch][capacity]
@group(0) @binding(8) var<storage, read> items: array<vec4<u32>>; // kernel_params.h: WorkItem

var<workgroup> levels_seen: atomic<u32>;

fn value_at(at: u32) -> f32 {
  return bitcast<f32>(queries[at]);
}

fn rank_of(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, (key >> 31u) != 0u));
}

// The test of a query whose words begin at `at`; a square root is 2^-19 off at most.
fn test_at(P: LevelsParams, at: u32, limit: u32) -> Test {
  var t: Test;
  t.scale_a = value_at(at);
  t.scale_b = value_at(at + 1u);
  t.shrink = value_at(at + 2u);
  t.query = value_at(at + 3u);
  t.widen = value_at(at + 4u);
  t.per_error = value_at(at + 5u);
  t.per_norm = value_at(at + 6u);
  if (P.is_capped != 0u) {
    t.base = value_at(at + 7u);
    t.gain = value_at(at + 8u);
    return t;
  }
  t.gain = 0.0;
  if (limit == EMPTY) { // no infinity and no NaN here: see keeps_all
    t.base = 0.0;
    return t;
  }
  let rank = rank_of(limit);
  let offset = value_at(at + 12u);
  if (METRIC == DOT) {
    let moved = rank + offset;
    t.base = (moved + abs(moved) * 4.76837158203125e-7) + value_at(at + 11u);
    return t;
  }
  let reach = sqrt(rank * value_at(at + 10u) + value_at(at + 11u));
  t.base = select(reach + offset, offset, METRIC == POINCARE);
  t.gain = select(0.0, reach, METRIC == POINCARE);
  return t;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let P = params[workgroup.z];
  let index = workgroup.x + workgroup.y * P.grid_x;
  if (index >= P.workgroups) {
    return;
  }
  let part = index / P.query_blocks;
  var q0 = index % P.query_blocks * QB;
  var begin = P.group_begin + part * P.groups_per_part;
  var end = min(begin + P.groups_per_part, P.group_end);
  if (P.has_items != 0u) {
    let item = items[P.item_begin + index];
    begin = item.x;
    end = item.y;
    q0 = item.z;
  }
  let bit = lane & 31u;
  let slab = CodedSlab(P.groups, P.levels, P.level_chunks, PLANES);
  let code_words = P.levels * P.level_chunks; // of a query and term

  if (lane == 0u) {
    atomicStore(&levels_seen, 0u);
  }
  workgroupBarrier();
  var tests: array<Test, QB>;
  var first: array<u32, QB>; // of the query's codes
  var keeps_all = 0u;        // a bit a query
  for (var j = 0u; j < QB; j++) {
    let q = min(q0 + j, P.batch - 1u);
    let at = P.query_begin + q * P.query_words;
    first[j] = at + HEADER;
    tests[j] = test_at(P, at, limits[q]);
    let all = select(limits[q] == EMPTY, queries[at + 9u] != 0u, P.is_capped != 0u);
    keeps_all |= select(0u, 1u << j, all);
  }

  var seen = 0u;
  for (var tile = begin; tile < end; tile += WG / 32u) {
    let group = tile + (lane >> 5u);
    var alive = 0u; // a bit a query
    if (group < end) {
      let word = live[group];
      for (var j = 0u; j < QB; j++) {
        var w = select(0u, word, q0 + j < P.batch);
        if (P.has_masks != 0u && w != 0u) {
          let offset = masks[q0 + j];
          if (offset != EMPTY) {
            w &= masks[offset + (P.first_row >> 5u) + group];
          }
        }
        alive |= ((w >> bit) & 1u) << j;
      }
    }
    if (alive == 0u) {
      continue;
    }
    let side = sides_at(slab, group) + (bit >> 1u);
    let shift = (bit & 1u) * 16u;
    let s = bitcast<f32>(((codes[side] >> shift) & 0xffffu) << 16u);
    let norm_units = f32((codes[side + 16u] >> shift) & 0xffffu);
    let error_units = (codes[side + 32u] >> shift) & 0xffffu;
    let norm = norm_units * P.norm_unit * s;
    let error = f32(error_units) * P.error_unit * s;
    let tail_unit = norm_units * P.tail_unit * s;
    var beta = 0.0;
    if (METRIC == POINCARE) {
      beta = f32((codes[side + 48u] >> shift) & 0xffffu) * P.beta_unit;
    }
    let always = select(keeps_all, EMPTY, error_units == ALWAYS_KEEP);
    var a: array<i32, QB>;
    var b: array<i32, QB>;
    var left: array<f32, QB>;
    for (var j = 0u; j < QB; j++) {
      a[j] = 0;
      b[j] = 0;
      left[j] = 0.0;
    }
    for (var l = 0u; l < P.levels && alive != 0u; l++) {
      let row_at = level_at(slab, l, group) + bit;
      for (var k = 0u; k < P.level_chunks; k += 2u) {
        // Two chunks a step: llvmpipe counts the steps (workgroup.hpp); a level has at least two.
        let word0 = codes[row_at + k * 32u] ^ 0x80808080u;
        let word1 = codes[row_at + k * 32u + 32u] ^ 0x80808080u;
        let at = l * P.level_chunks + k;
        for (var j = 0u; j < QB; j++) {
          a[j] += dot4(word0, queries[first[j] + at]) + dot4(word1, queries[first[j] + at + 1u]);
          b[j] += dot4(word0, queries[first[j] + code_words + at]) +
                  dot4(word1, queries[first[j] + code_words + at + 1u]);
        }
      }
      var tail = 0.0;
      if (l + 1u < P.levels) {
        let word = codes[tails_at(slab, l, group) + (bit >> 2u)];
        tail = f32((word >> ((bit & 3u) * 8u)) & 0xffu) * tail_unit;
      }
      seen++;
      for (var j = 0u; j < QB; j++) {
        let t = tests[j];
        let query_tail = value_at(first[j] + 2u * code_words + l + 1u);
        let z = s * (t.scale_a * f32(a[j]) + t.scale_b * f32(b[j])) + query_tail * tail;
        var keep = false;
        if (METRIC == DOT) {
          left[j] = -z;
          keep = left[j] <= t.base + t.per_error * error + t.per_norm * norm;
        } else {
          let reach = t.base + t.gain * beta + error;
          left[j] = (t.shrink * (norm * norm) + t.query) - 2.0 * z;
          keep = left[j] <= t.widen * (reach * reach);
        }
        let kept = keep || ((always >> j) & 1u) != 0u;
        alive &= ~select(1u << j, 0u, kept);
      }
    }
    for (var j = 0u; j < QB; j++) {
      if (((alive >> j) & 1u) == 0u) {
        continue;
      }
      let slot = atomicAdd(&counts[q0 + j], 1u);
      if (slot >= P.capacity) {
        continue;
      }
      let to = (q0 + j) * P.capacity + slot;
      let row = P.first_row + group * 32u + bit;
      if (P.is_capped != 0u) {
        candidates[to * VALUE_WORDS] = row;
        candidates[to * VALUE_WORDS + 1u] = bitcast<u32>(left[j]);
        candidates[to * VALUE_WORDS + 2u] = bitcast<u32>(norm);
        candidates[to * VALUE_WORDS + 3u] = select(bitcast<u32>(error), EMPTY, error_units == ALWAYS_KEEP);
        candidates[to * VALUE_WORDS + 4u] = bitcast<u32>(beta);
      } else {
        candidates[to] = row;
      }
    }
  }
  atomicAdd(&levels_seen, seen);
  workgroupBarrier();
  if (lane == 0u) {
    atomicAdd(&counts[2u * P.batch], (atomicLoad(&levels_seen) + 31u) / 32u);
  }
}
