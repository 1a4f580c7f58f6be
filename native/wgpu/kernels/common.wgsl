// SPDX-License-Identifier: Apache-2.0
// Keys and row order, shared by all kernels. The host prepends the constants METRIC, QB, CAP and WG
// (pipelines.cpp).

// Uniform blocks are arrays of two, read once by a kernel at workgroup_id.z, which is 0 but not to the compiler:
// lavapipe compiles a kernel anew, 10 to 40 ms, for every value of a uniform that stands at a constant place and
// decides a branch.

const L2SQ: u32 = 1u;
const COSINE: u32 = 2u;
const DOT: u32 = 3u;
const POINCARE: u32 = 4u;
const MANHATTAN: u32 = 5u;

// Marks "no entry": larger than the key of every finite rank and of +infinity (0xff800000).
const EMPTY: u32 = 0xffffffffu;

// Order-preserving integer of a rank. -0 maps to +0 here, on the bits: a compiler may drop the addition of 0.
fn rank_key(rank: f32) -> u32 {
  let bits = bitcast<u32>(rank);
  if (bits == 0x80000000u) {
    return 0x80000000u;
  }
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) != 0u);
}

// (key, row), lexicographically: unique, so every selection is deterministic and ties go to the lower row.
fn before(key_a: u32, row_a: u32, key_b: u32, row_b: u32) -> bool {
  return key_a < key_b || (key_a == key_b && row_a < row_b);
}
