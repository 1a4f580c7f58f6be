// SPDX-License-Identifier: Apache-2.0
// The product of four int8 and four int8. The host puts this file or dot4_unpacked.wgsl before a kernel of codes, and
// what this one requires before all.

fn dot4(a: u32, b: u32) -> i32 {
  return dot4I8Packed(a, b);
}
