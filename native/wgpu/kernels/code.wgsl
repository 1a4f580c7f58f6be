// SPDX-License-Identifier: Apache-2.0
// int8 codes of whole groups with their side values (code_layout.hpp), a row a lane. What rounds has its room in the
// scales that the host gives (gpu/coding.cpp), so that divisions and square roots may be inexact and small numbers
// flushed.
#include "coded_rows.wgsl"
#include "code_layout.wgsl"

const CODE_ZERO: u32 = 0x80808080u;
const LEAST_SCALE: u32 = 27u << 23u; // 2^-100
const ALWAYS_KEEP: u32 = 65535u;
const BETA_UNITS: f32 = 65500.0;

@group(0) @binding(5) var<storage, read> rotated: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> codes: array<u32>;

var<workgroup> shared_values: array<u32, WG>;

// Chunk c of y; zero beyond the row.
fn coordinates(P: CodingParams, base: u32, rotated_base: u32, c: u32, side: f32) -> vec4<f32> {
  if (c >= P.chunks) {
    return vec4<f32>(0.0);
  }
  if (P.is_rotated != 0u) {
    return rotated[rotated_base + c * 32u];
  }
  return centred(P, base, c, side);
}

fn squares(word: u32) -> u32 {
  let c = codes_of(word);
  return u32(c.x * c.x + c.y * c.y + c.z * c.z + c.w * c.w);
}

// Uniform: every lane comes here. `bits` of each of 32 / bits neighbouring lanes make a word.
fn put_packed(word_at: u32, value: u32, bits: u32, lane: u32, inside: bool) {
  shared_values[lane] = value;
  workgroupBarrier();
  let per_word = 32u / bits;
  if (inside && lane % per_word == 0u) {
    var word = 0u;
    for (var i = 0u; i < per_word; i++) {
      word |= shared_values[lane + i] << (i * bits);
    }
    codes[word_at + (lane & 31u) / per_word] = word;
  }
  workgroupBarrier();
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let P = params[workgroup.z];
  let index = workgroup.x + workgroup.y * P.grid_x;
  if (index >= P.workgroups) {
    return;
  }
  let wanted = P.list_begin + index * (WG / 32u) + (lane >> 5u);
  let inside = wanted < P.list_end;
  let entry = min(wanted, P.list_end - 1u); // lanes beyond the list compute another's and write nothing
  let bit = lane & 31u;
  let group = groups[entry];
  let base = group * P.chunks * 32u + bit;
  let rotated_base = (entry - P.list_begin) * P.chunks * 32u + bit;
  let side = side_of(group * 32u + bit);

  var most4 = vec4<f32>(0.0);
  for (var c = 0u; c < P.chunks; c++) {
    most4 = max(most4, abs(coordinates(P, base, rotated_base, c, side)));
  }
  let most = max(max(most4.x, most4.y), max(most4.z, most4.w));
  // 1/127 and 2e-6 of it, for the rounding of the product.
  var scale_bits = max((bitcast<u32>(most * 0.00787403) + 0xffffu) & 0xffff0000u, LEAST_SCALE);
  let slab = CodedSlab(P.groups, P.levels, P.level_chunks, PLANES);
  let side_words = sides_at(slab, group);
  if (P.codes_stay != 0u) {
    scale_bits = (codes[side_words + bit / 2u] >> (bit % 2u * 16u)) << 16u;
  }
  // s = fraction * 2^E, the fraction of 8 bits: fraction * c and the difference from y * 2^-E are exact.
  let fraction = bitcast<f32>((scale_bits & 0x7fffffu) | 0x3f800000u);
  let down = bitcast<f32>((254u - (scale_bits >> 23u)) << 23u); // 2^-E

  var total = 0u; // |c|^2
  var head = 0u;  // that of the first level
  var residual = vec4<f32>(0.0);
  var length = vec4<f32>(0.0); // |x|^2, scaled
  for (var l = 0u; l < P.levels; l++) {
    let to = level_at(slab, l, group) + bit;
    // Two chunks a step: llvmpipe counts the steps (workgroup.hpp); a level has at least two.
    for (var k = 0u; k < P.level_chunks; k += 2u) {
      for (var h = 0u; h < 2u; h++) {
        let c = l * P.level_chunks + k + h;
        let y = coordinates(P, base, rotated_base, c, side) * down;
        var code = clamp(round(y / fraction), vec4<f32>(-127.0), vec4<f32>(127.0));
        if (P.codes_stay != 0u) {
          code = vec4<f32>(codes_of(codes[to + (k + h) * 32u]));
        }
        let rest = y - code * fraction;
        residual += rest * rest;
        if (P.x_scale != 0.0 && c < P.chunks) {
          let x = centred(P, base, c, side) * down;
          length += x * x;
        }
        let biased = vec4<u32>(vec4<i32>(code) + vec4<i32>(128));
        let word = biased.x | (biased.y << 8u) | (biased.z << 16u) | (biased.w << 24u);
        total += squares(word);
        if (inside && P.codes_stay == 0u) {
          codes[to + (k + h) * 32u] = word;
        }
      }
    }
    if (l == 0u) {
      head = total;
    }
  }
  let root = sqrt(f32(total));
  let norm = u32(floor(root * P.norm_scale));
  let deviation = sqrt((residual.x + residual.z) + (residual.y + residual.w)) / fraction;
  let distance = sqrt((length.x + length.z) + (length.y + length.w)) / fraction;
  let error = deviation * P.error_scale + distance * P.x_scale + P.error_room;
  // The rest after the first level is the largest.
  var tail = 0.0;
  if (total != head) {
    tail = ceil(sqrt(f32(total - head)) * P.tail_scale / f32(norm));
  }
  let fits = error < 65535.0 && tail <= 255.0 &&
             bitcast<f32>(scale_bits) * (root + P.length_room) <= P.longest;

  if (P.codes_stay != 0u) {
    put_packed(side_words + 32u, select(ALWAYS_KEEP, u32(error), fits), 16u, lane, inside);
    return;
  }
  var rest = total;
  for (var l = 0u; l < P.levels; l++) {
    let at = level_at(slab, l, group) + bit;
    for (var k = 0u; k < P.level_chunks; k += 2u) {
      for (var h = 0u; h < 2u; h++) {
        let word_at = at + (k + h) * 32u;
        if (fits) {
          // Of lanes beyond the list it is what another lane wrote, or will.
          rest -= min(rest, squares(codes[word_at]));
        } else if (inside) {
          codes[word_at] = CODE_ZERO;
        }
      }
    }
    if (l + 1u < P.levels) {
      var value = 0u;
      if (fits && rest != 0u) {
        value = u32(ceil(sqrt(f32(rest)) * P.tail_scale / f32(norm)));
      }
      put_packed(tails_at(slab, l, group), value, 8u, lane, inside);
    }
  }
  put_packed(side_words, select(LEAST_SCALE, scale_bits, fits) >> 16u, 16u, lane, inside);
  put_packed(side_words + 16u, select(0u, norm, fits), 16u, lane, inside);
  put_packed(side_words + 32u, select(ALWAYS_KEEP, u32(error), fits), 16u, lane, inside);
  if (METRIC == POINCARE) {
    // 2^-18 above a root and a division that are 2^-19 off at most.
    let beta = ceil(inverseSqrt(side) * (1.0000039 * BETA_UNITS));
    put_packed(side_words + 48u, u32(min(beta, 65535.0)), 16u, lane, inside);
  }
}
