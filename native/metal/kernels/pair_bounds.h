// SPDX-License-Identifier: Apache-2.0
// Bounds of the rank of a row and a query that are both int8 codes, and the test that a limit makes of them
// (kernel_params.h: CodedProductParams).
#ifndef NEARFIELD_METAL_PAIR_BOUNDS_H
#define NEARFIELD_METAL_PAIR_BOUNDS_H

#include "coded.h"

namespace nearfield {
namespace kernels {

// 1 + 2^-18, above what roots, sums and products of a reach lose.
constant constexpr float PAIR_WIDEN = 1.0f + 1.0f / (1 << 18);

inline float infinity() { return as_type<float>(0x7f800000u); }

// A row or a query as bounds see it.
struct Coded {
  float scale, norm, error, beta;
  bool is_always_kept;
};

// From its side values. METRIC of a query: L2, whose codes have no beta.
template <int METRIC>
inline Coded coded_of(constant CodedProductParams& p, device const ushort* plane) {
  const uint error = plane[64];
  Coded c;
  c.scale = as_type<float>(uint(plane[0]) << 16);
  c.norm = float(plane[32]) * p.norm_unit * c.scale;
  c.error = float(error) * p.error_unit * c.scale;
  c.beta = METRIC == POINCARE ? float(plane[96]) * p.beta_unit : 0.0f;
  c.is_always_kept = error == ALWAYS_KEEP;
  return c;
}

// What the test needs of a query and its limit: a row stays unless
//   scale (s A) + per_error e + (per_term term + fixed) + beta (beta_squared beta + per_beta_error e +
//   per_beta)
// is negative. Of a row or query that is always kept a part is infinite, and all of it infinite or NaN.
struct QueryTest {
  float scale, per_error, fixed, per_term, beta_squared, per_beta, per_beta_error;
};

// And of a row: s, e, its term, beta.
template <int METRIC>
inline float4 row_test(constant CodedProductParams& p, thread const Coded& row) {
  if (row.is_always_kept) return float4(0.0f, 0.0f, infinity(), 0.0f);
  const float term =
      METRIC == DOT ? row.norm : PAIR_WIDEN * row.error * row.error - p.shrink * (row.norm * row.norm);
  return float4(row.scale, row.error, term, row.beta);
}

template <int METRIC>
inline QueryTest query_test(constant CodedProductParams& p, thread const Coded& query,
                            device const ProductQuery& terms, uint limit) {
  QueryTest t = {0.0f, 0.0f, infinity(), 0.0f, 0.0f, 0.0f, 0.0f};
  if (query.is_always_kept || limit == NEARFIELD_EMPTY) return t;
  const float rank = rank_of(limit);
  if (METRIC == DOT) {
    const float moved = rank + terms.offset;
    t.scale = query.scale;
    t.fixed = (moved + fabs(moved) * (1.0f / (1 << 21))) + terms.addend;
    t.per_error = (p.stretch + p.slack) * terms.norm;
    t.per_term = (p.slack * terms.norm + query.error) * p.norm_up;
    return t;
  }
  const float reach = sqrt(rank * p.slope + p.addend);
  const float base = (METRIC == POINCARE ? float(p.fixed) : reach) + query.error;
  const float wide = PAIR_WIDEN * base;
  t.scale = query.scale + query.scale;
  t.fixed = wide * base - p.shrink * (query.norm * query.norm);
  t.per_error = wide + wide;
  t.per_term = 1.0f;
  if (METRIC == POINCARE) {
    t.beta_squared = PAIR_WIDEN * (reach * reach);
    t.per_beta_error = 2.0f * PAIR_WIDEN * reach;
    t.per_beta = t.per_beta_error * base;
  }
  return t;
}

// `dot`: A of the pair. `row`: of row_test.
template <int METRIC>
inline bool stays(thread const QueryTest& t, float4 row, float dot) {
  const float term = METRIC == DOT ? t.per_term * row.z : row.z;
  float x = fma(row.y, t.per_error, term + t.fixed);
  if (METRIC == POINCARE)
    x = fma(row.w, fma(row.w, t.beta_squared, fma(row.y, t.per_beta_error, t.per_beta)), x);
  x = fma(dot * row.x, t.scale, x);
  return !(x < 0.0f);
}

struct RankBounds {
  float lower, upper;
};

template <int METRIC>
inline RankBounds rank_bounds(constant CodedProductParams& p, thread const Coded& row,
                              thread const Coded& query, device const ProductQuery& terms, float dot) {
  RankBounds bounds = {METRIC == DOT ? -infinity() : 0.0f, infinity()};
  if (row.is_always_kept || query.is_always_kept) return bounds;
  const float z = query.scale * (row.scale * dot);
  if (METRIC == DOT) {
    const float reach = (p.stretch + p.slack) * terms.norm * row.error +
                        (p.slack * terms.norm + query.error) * p.norm_up * row.norm + terms.addend +
                        (fabs(z) + fabs(terms.offset)) * (1.0f / (1 << 21));
    const float middle = -z - terms.offset;
    bounds.lower = middle - reach;
    bounds.upper = middle + reach;
    return bounds;
  }
  const float v = row.norm + p.norm_unit * row.scale;
  const float q = query.norm + p.norm_unit * query.scale;
  const float near = p.shrink * (row.norm * row.norm + query.norm * query.norm) - 2.0f * z;
  const float far = p.grow * (v * v + q * q) - 2.0f * z;
  const float d = sqrt(fmax(near, 0.0f)) * (1.0f - 1.0f / (1 << 18)) - row.error - query.error - p.fixed;
  const float most = sqrt(fmax(far, 0.0f)) * PAIR_WIDEN + row.error + query.error;
  bounds.lower = d > 0.0f ? d * d * p.lower : 0.0f;
  bounds.upper = most * most * p.upper;
  if (METRIC == POINCARE) {
    const float least = row.beta - 2.0f * p.beta_unit;
    bounds.lower = bounds.lower / (row.beta * row.beta);
    bounds.upper = least > 0.0f ? bounds.upper / (least * least) : infinity();
  } else {
    bounds.lower = fmax(bounds.lower - p.tiny, 0.0f);
  }
  bounds.upper = bounds.upper + p.tiny;
  return bounds;
}

// Of a row that is always kept 0, which is below every key.
inline uint lower_key(float lower) { return lower == -infinity() ? 0 : rank_key(lower); }

}  // namespace kernels
}  // namespace nearfield

#endif  // NEARFIELD_METAL_PAIR_BOUNDS_H
