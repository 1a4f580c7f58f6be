// SPDX-License-Identifier: Apache-2.0
// The truth: distances in float64, with the error that an f32 backend is allowed. Written for reading; shares
// no code with native/.
#pragma once

#include <cstdint>

#include "nearfield/nearfield.h"

namespace nearfield::oracle {

// A distance and how far a backend's f32 answer for the same pair may lie from it, in the same unit. A bound
// of 0 says that f32 arithmetic is exact for this pair.
struct Distance {
  double value;
  double bound;
};

// A vector with what the metrics need of it, computed once.
struct Vector {
  const float* x;
  int64_t dim;
  double norm;   // |x|
  double gap;    // 1 - |x|^2, accurate also where |x| is nearly 1
  bool integer;  // all elements are integers
};

Vector prepare(const float* x, int64_t dim);

// NF_L2SQ sum (q-v)^2, NF_COSINE 1 - cos, NF_DOT -(q.v), NF_POINCARE 2 asinh(sqrt(|q-v|^2 /
// ((1-|q|^2)(1-|v|^2)))), NF_MANHATTAN sum |q-v|.
Distance distance(int32_t metric, const Vector& q, const Vector& v);

}  // namespace nearfield::oracle
