// SPDX-License-Identifier: Apache-2.0
// The canonical final form (docs/numerics.md): four partial sums by dimension mod 4, each a chain of fma over
// the chunks in ascending order, then (s0+s2)+(s1+s3). Every kernel computes ranks by these two functions.

// `zero` is 0.0, but not to the compiler: fma(v, side, zero) is the rounded product, which cannot be
// contracted with the subtraction that follows. So the cosine distance of a vector to itself is exactly 0.
fn accumulate(q: vec4<f32>, v: vec4<f32>, side: f32, zero: f32, sum: vec4<f32>) -> vec4<f32> {
  if (METRIC == DOT) {
    return fma(q, v, sum);
  }
  if (METRIC == MANHATTAN) {
    return sum + abs(q - v);
  }
  if (METRIC == COSINE) {
    let d = q - fma(v, vec4<f32>(side), vec4<f32>(zero));
    return fma(d, d, sum);
  }
  let d = q - v;
  return fma(d, d, sum);
}

fn finish(sum: vec4<f32>, side: f32) -> u32 {
  let total = (sum.x + sum.z) + (sum.y + sum.w);
  if (METRIC == COSINE) {
    return rank_key(0.5 * total);
  }
  if (METRIC == DOT) {
    return rank_key(-total);
  }
  if (METRIC == POINCARE) {
    return rank_key(total * side);
  }
  return rank_key(total);
}
