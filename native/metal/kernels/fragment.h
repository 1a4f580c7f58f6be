// SPDX-License-Identifier: Apache-2.0
// The operations on 8 x 8 matrices of a simdgroup that `matrix` and `coded_product` use, and nothing else of
// them. Elements are reached through memory only: which lane holds which element is not part of the language.
#ifndef NEARFIELD_METAL_FRAGMENT_H
#define NEARFIELD_METAL_FRAGMENT_H

namespace nearfield {
namespace kernels {

typedef simdgroup_float8x8 Fragment;
typedef simdgroup_half8x8 CodeFragment;

inline Fragment zero_fragment() { return make_filled_simdgroup_matrix<float, 8, 8>(0.0f); }

// Element (r, c) from[r * stride + c].
inline void load(thread Fragment& f, threadgroup const float* from, ulong stride) {
  simdgroup_load(f, from, stride);
}
inline void load(thread CodeFragment& f, threadgroup const half* from, ulong stride) {
  simdgroup_load(f, from, stride);
}

// Element (r, c) from[c * stride + r].
inline void load_transposed(thread Fragment& f, threadgroup const float* from, ulong stride) {
  simdgroup_load(f, from, stride, ulong2(0, 0), true);
}
inline void load_transposed(thread CodeFragment& f, threadgroup const half* from, ulong stride) {
  simdgroup_load(f, from, stride, ulong2(0, 0), true);
}

inline void store(thread Fragment& f, threadgroup float* to, ulong stride) { simdgroup_store(f, to, stride); }

// sum += a b
inline void multiply_accumulate(thread Fragment& sum, thread Fragment& a, thread Fragment& b) {
  simdgroup_multiply_accumulate(sum, a, b, sum);
}
inline void multiply_accumulate(thread Fragment& sum, thread CodeFragment& a, thread CodeFragment& b) {
  simdgroup_multiply_accumulate(sum, a, b, sum);
}

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_FRAGMENT_H
