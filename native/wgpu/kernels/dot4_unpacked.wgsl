// SPDX-License-Identifier: Apache-2.0
// As dot4_packed.wgsl, for compilers without the language feature packed_4x8_integer_dot_product.

fn bytes_of(word: u32) -> vec4<i32> {
  return (vec4<i32>(bitcast<i32>(word)) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
}

fn dot4(a: u32, b: u32) -> i32 {
  let products = bytes_of(a) * bytes_of(b);
  return (products.x + products.y) + (products.z + products.w);
}
