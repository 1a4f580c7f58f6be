// SPDX-License-Identifier: Apache-2.0
// Bounds of the ranks of a row and a query that are both codes (kernel_params.h: CodedProductParams). Nothing here
// asks for a fused operation, an infinity or a NaN: what is infinite is made as a key.
#include "code_layout.wgsl"

const ALWAYS_KEEP: u32 = 65535u;
const INFINITE_KEY: u32 = 0xff800000u;
const LEAST_KEY: u32 = select(0x80000000u, 0u, METRIC == DOT); // of 0, which no other rank is below
const WIDEN: f32 = 1.000003814697265625;    // 1 + 2^-18
const NARROW: f32 = 0.999996185302734375;   // 1 - 2^-18
const ROUNDINGS: f32 = 4.76837158203125e-7; // 2^-21

// kernel_params.h: CodedProductParams.
struct CodedProductParams {
  first_row: u32,    // of the slab, in the store
  group_begin: u32,  // tiles of rows begin here and every `apart` groups
  group_end: u32,
  apart: u32,
  tiles: u32,
  tiles_per_workgroup: u32,
  groups: u32,       // of the slab
  query_groups: u32, // of the queries' codes
  levels: u32,
  level_chunks: u32,
  batch: u32,
  query_tiles: u32,  // ceil(batch / QB)
  workgroups: u32,
  grid_x: u32,
  has_masks: u32,
  capacity: u32,     // candidates of a query
  is_sample: u32,    // 1: the least upper bounds are written in place of candidates
  part_base: u32,
  part_stride: u32,  // parts of a query
  norm_unit: f32,
  error_unit: f32,
  beta_unit: f32,
  shrink: f32,
  grow: f32,
  slope: f32,
  addend: f32,
  fixed: f32,
  lower: f32,
  upper: f32,
  tiny: f32,
  stretch: f32,
  slack: f32,
  norm_up: f32,
  reserved0: u32,
  reserved1: u32,
  reserved2: u32,
}

// kernel_params.h: ProductQuery.
struct ProductQuery {
  norm: f32,
  offset: f32,
  addend: f32,
  reserved: f32,
}

// A row or query as bounds see it.
struct Coded {
  scale: f32,
  norm: f32,
  error: f32,
  is_always_kept: u32,
}

// Four rows.
struct CodedRows {
  scale: vec4<f32>,
  norm: vec4<f32>,
  error: vec4<f32>,
  beta: vec4<f32>,
  always_kept: u32, // a bit a row
}

// What remains of the test for a query, given its limit: a row stays where
//   scale (A s) + per_error e + (row + fixed) + beta_squared beta^2 + beta (per_beta + per_beta_error e) >= 0,
// row = w e^2 - shrink v^2, of dot per_row v.
struct PairTest {
  scale: f32,
  per_error: f32,
  fixed: f32,
  per_row: f32,
  beta_squared: f32,
  per_beta: f32,
  per_beta_error: f32,
  keeps_all: u32,
}

fn rank_of(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, (key >> 31u) != 0u));
}

fn coded_of(P: CodedProductParams, scale: u32, norm: u32, error: u32) -> Coded {
  let s = bitcast<f32>(scale << 16u);
  return Coded(s, f32(norm) * P.norm_unit * s, f32(error) * P.error_unit * s, u32(error == ALWAYS_KEEP));
}

// 0 of 0 and of what may be flushed: `sqrt` is the inverse of an inverse root.
fn root(x: f32) -> f32 {
  return select(0.0, sqrt(max(x, 1.1754943508222875e-38)), x > 0.0);
}

fn pair_test(P: CodedProductParams, query: Coded, terms: ProductQuery, limit: u32) -> PairTest {
  var t = PairTest(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1u);
  if (query.is_always_kept != 0u || limit >= INFINITE_KEY) {
    return t;
  }
  t.keeps_all = 0u;
  let rank = rank_of(limit);
  if (METRIC == DOT) {
    let moved = rank + terms.offset;
    t.scale = query.scale;
    t.fixed = (moved + abs(moved) * ROUNDINGS) + terms.addend;
    t.per_error = (P.stretch + P.slack) * terms.norm;
    t.per_row = (query.error + P.slack * terms.norm) * P.norm_up;
    return t;
  }
  let reach = root(rank * P.slope + P.addend);
  let base = select(reach, P.fixed, METRIC == POINCARE) + query.error;
  t.scale = 2.0 * query.scale;
  t.fixed = WIDEN * base * base - P.shrink * (query.norm * query.norm);
  t.per_error = 2.0 * WIDEN * base;
  if (METRIC == POINCARE) {
    t.beta_squared = WIDEN * (reach * reach);
    t.per_beta_error = 2.0 * WIDEN * reach;
    t.per_beta = t.per_beta_error * base;
  }
  return t;
}

// What the test adds of each row.
fn row_terms(P: CodedProductParams, rows: CodedRows) -> vec4<f32> {
  if (METRIC == DOT) {
    return rows.norm;
  }
  return WIDEN * rows.error * rows.error - P.shrink * (rows.norm * rows.norm);
}

// The rows that the test keeps, a bit each. `dots`: A of each.
fn near_rows(t: PairTest, rows: CodedRows, terms: vec4<f32>, dots: vec4<i32>) -> u32 {
  var x = select(terms, t.per_row * terms, METRIC == DOT) + t.fixed;
  x += rows.error * t.per_error;
  if (METRIC == POINCARE) {
    x += rows.beta * (rows.beta * t.beta_squared + (rows.error * t.per_beta_error + t.per_beta));
  }
  x += vec4<f32>(dots) * rows.scale * t.scale;
  let bits = select(vec4<u32>(0u), vec4<u32>(1u, 2u, 4u, 8u), x >= vec4<f32>(0.0));
  return (bits.x | bits.y) | (bits.z | bits.w) | rows.always_kept | select(0u, 15u, t.keeps_all != 0u);
}

// Keys of the lower and the upper bound. `dot`: A of the pair.
fn rank_bounds(
    P: CodedProductParams, row: Coded, beta: f32, query: Coded, terms: ProductQuery, dot: i32) -> vec2<u32> {
  if ((row.is_always_kept | query.is_always_kept) != 0u) {
    return vec2<u32>(LEAST_KEY, INFINITE_KEY);
  }
  let z = query.scale * (row.scale * f32(dot));
  if (METRIC == DOT) {
    let reach = (P.stretch + P.slack) * terms.norm * row.error +
                ((query.error + P.slack * terms.norm) * P.norm_up * row.norm +
                 ((abs(z) + abs(terms.offset)) * ROUNDINGS + terms.addend));
    let middle = -z - terms.offset;
    return vec2<u32>(rank_key(middle - reach), rank_key(middle + reach));
  }
  let near = P.shrink * (row.norm * row.norm + query.norm * query.norm) - 2.0 * z;
  let v = row.norm + P.norm_unit * row.scale;
  let q = query.norm + P.norm_unit * query.scale;
  let far = P.grow * (v * v + q * q) - 2.0 * z;
  let least = root(near) * NARROW - row.error - query.error - P.fixed;
  let most = root(far) * WIDEN + row.error + query.error;
  var lower = select(0.0, least * least * P.lower, least > 0.0);
  var upper = most * most * P.upper;
  if (METRIC == POINCARE) {
    lower = lower / (beta * beta);
    let narrow = beta - 2.0 * P.beta_unit;
    if (narrow <= 0.0) {
      return vec2<u32>(rank_key(lower), INFINITE_KEY);
    }
    upper = upper / (narrow * narrow);
  } else {
    lower = max(lower - P.tiny, 0.0);
  }
  return vec2<u32>(rank_key(lower), rank_key(upper + P.tiny));
}
