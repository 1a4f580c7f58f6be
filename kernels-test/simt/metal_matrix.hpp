// SPDX-License-Identifier: Apache-2.0
// simdgroup_matrix of the Metal Shading Language, 8 x 8 floats or halves. The specification leaves open which
// lane holds which element; here it is the arrangement of today's GPUs: two neighbours of a row in each lane,
// quads of lanes in 4 x 4 corners. Kernels that depend on it would not be portable: they go through memory.
#pragma once

#include <cmath>

#include "metal_vectors.hpp"
#include "simt.hpp"

namespace metal {

template <class T, int COLUMNS, int ROWS>
struct simdgroup_matrix {
  static_assert(COLUMNS == 8 && ROWS == 8 && (sizeof(T) == 4 || sizeof(T) == 2));
  T elements[2];  // of this lane
};
using simdgroup_float8x8 = simdgroup_matrix<float, 8, 8>;
using simdgroup_half8x8 = simdgroup_matrix<half, 8, 8>;

// Row and first column of a lane's two elements.
struct FragmentPlace {
  unsigned row, column;
};
constexpr FragmentPlace fragment_place(unsigned lane) {
  const unsigned quad = lane / 4;
  return {(quad & 4) + lane / 2 % 4, (quad & 2) * 2 + lane % 2 * 2};
}
// The lane that holds an element.
constexpr unsigned fragment_lane(unsigned row, unsigned column) {
  return (row & 4) * 4 + row % 4 * 2 + (column & 4) * 2 + column / 2 % 2;
}

template <class T, int COLUMNS, int ROWS>
simdgroup_matrix<T, COLUMNS, ROWS> make_filled_simdgroup_matrix(T value) {
  return {{value, value}};
}

// Element (r, c) is from[(origin.y + r) * stride + origin.x + c]; transposed, r and c change places.
template <class T>
void simdgroup_load(simdgroup_matrix<T, 8, 8>& m, const T* from, ulong stride, ulong2 origin = ulong2(0, 0),
                    bool transposed = false, nearfield::simt::Site where = nearfield::simt::Site::current()) {
  nearfield::simt::exchange(0, nearfield::simt::Slot{}, nearfield::simt::kOrdersNothing,
                            where);  // all lanes, together
  const FragmentPlace at = fragment_place(nearfield::simt::thread().lane);
  for (unsigned i = 0; i < 2; ++i) {
    const ulong row = transposed ? at.column + i : at.row, column = transposed ? at.row : at.column + i;
    m.elements[i] = from[(origin.y + row) * stride + origin.x + column];
  }
}

template <class T>
void simdgroup_store(const simdgroup_matrix<T, 8, 8>& m, T* to, ulong stride, ulong2 origin = ulong2(0, 0),
                     bool transposed = false,
                     nearfield::simt::Site where = nearfield::simt::Site::current()) {
  nearfield::simt::exchange(0, nearfield::simt::Slot{}, nearfield::simt::kOrdersNothing, where);
  const FragmentPlace at = fragment_place(nearfield::simt::thread().lane);
  for (unsigned i = 0; i < 2; ++i) {
    const ulong row = transposed ? at.column + i : at.row, column = transposed ? at.row : at.column + i;
    to[(origin.y + row) * stride + origin.x + column] = m.elements[i];
  }
}

// d = a b + c: a chain of fma over the eight products of an element, in the sums' type. A device may add in
// another order.
template <class T, class Operand>
void simdgroup_multiply_accumulate(simdgroup_matrix<T, 8, 8>& d, const simdgroup_matrix<Operand, 8, 8>& a,
                                   const simdgroup_matrix<Operand, 8, 8>& b,
                                   const simdgroup_matrix<T, 8, 8>& c,
                                   nearfield::simt::Site where = nearfield::simt::Site::current()) {
  struct Offer {
    T a[2], b[2];
  };
  const Offer mine{{T(a.elements[0]), T(a.elements[1])}, {T(b.elements[0]), T(b.elements[1])}};
  nearfield::simt::exchange(0, mine, where);
  const FragmentPlace at = fragment_place(nearfield::simt::thread().lane);
  T sums[2] = {c.elements[0], c.elements[1]};
  for (unsigned k = 0; k < 8; ++k) {
    const Offer left = nearfield::simt::exchanged<Offer>(fragment_lane(at.row, k));
    const Offer right = nearfield::simt::exchanged<Offer>(fragment_lane(k, at.column));
    for (unsigned i = 0; i < 2; ++i) sums[i] = std::fma(left.a[k % 2], right.b[i], sums[i]);
  }
  d.elements[0] = sums[0];
  d.elements[1] = sums[1];
}

}  // namespace metal
