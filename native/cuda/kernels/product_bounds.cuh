// SPDX-License-Identifier: Apache-2.0
// What the product of a row and a query says of their rank (kernel_params.h: CodedProductParams), whatever
// form they are multiplied in.
#pragma once

#include "rank.cuh"

namespace nearfield::cuda {

// A row or query as bounds see it.
struct Coded {
  float scale, norm, error;
  bool is_always_kept;
};
__device__ inline Coded coded_of(const Tf32Values& values, float scale) {
  return {scale, values.norm, values.error, false};
}

// What remains of the test for a query, given its limit: a row stays where
//   scale (A s) + per_error e + row + fixed + beta_squared beta^2 + beta (per_beta + per_beta_error e) >=
//   0,
// row = w e^2 - shrink v^2, of dot per_row v.
struct PairTest {
  float scale, per_error, fixed, per_row, beta_squared, per_beta, per_beta_error;
  uint32_t keeps_all;
};
inline constexpr float kProductWiden = 1 + 0x1p-18f;

template <int METRIC>
__device__ inline PairTest pair_test(const CodedProductParams& p, const Coded& query,
                                     const ProductQuery& terms, uint32_t limit) {
  PairTest t{};
  t.keeps_all = query.is_always_kept || limit == NEARFIELD_EMPTY;
  if (t.keeps_all != 0) return t;
  const float rank = rank_of_key(limit);
  if (METRIC == kDot) {
    const float moved = __fadd_rn(rank, terms.offset);
    t.scale = query.scale;
    t.fixed = __fadd_rn(__fmaf_rn(fabsf(moved), 0x1p-21f, moved), terms.addend);
    t.per_error = __fmul_rn(__fadd_rn(p.stretch, p.slack), terms.norm);
    t.per_row = __fmul_rn(__fmaf_rn(p.slack, terms.norm, query.error), p.norm_up);
    return t;
  }
  const float reach = sqrtf(__fmaf_rn(rank, p.slope, p.addend));
  const float base = __fadd_rn(METRIC == kPoincare ? p.fixed : reach, query.error);
  const float wide = __fmul_rn(kProductWiden, base);
  t.scale = __fadd_rn(query.scale, query.scale);
  t.fixed = __fmaf_rn(wide, base, -__fmul_rn(p.shrink, __fmul_rn(query.norm, query.norm)));
  t.per_error = __fadd_rn(wide, wide);
  if (METRIC == kPoincare) {
    t.beta_squared = __fmul_rn(kProductWiden, __fmul_rn(reach, reach));
    t.per_beta_error = __fmul_rn(2 * kProductWiden, reach);
    t.per_beta = __fmul_rn(t.per_beta_error, base);
  }
  return t;
}

// Of a row, once for all queries.
template <int METRIC>
__device__ inline float row_term(const CodedProductParams& p, const Coded& row) {
  if (METRIC == kDot) return row.norm;
  return __fmaf_rn(__fmul_rn(kProductWiden, row.error), row.error,
                   -__fmul_rn(p.shrink, __fmul_rn(row.norm, row.norm)));
}

// `dots`: A s; beta of Poincare only.
template <int METRIC>
__device__ inline bool may_stay(const PairTest& test, float dots, float error, float row_term, float beta) {
  float x = __fmaf_rn(error, test.per_error, METRIC == kDot ? __fmul_rn(test.per_row, row_term) : row_term);
  if (METRIC == kPoincare)
    x = __fmaf_rn(
        beta, __fmaf_rn(beta, test.beta_squared, __fmaf_rn(error, test.per_beta_error, test.per_beta)), x);
  return __fmaf_rn(dots, test.scale, x) >= -test.fixed;
}

struct RankBounds {
  float lower, upper;
};

// `dot`: A of the pair.
template <int METRIC>
__device__ inline RankBounds rank_bounds(const CodedProductParams& p, const Coded& row, float beta,
                                         const Coded& query, const ProductQuery& terms, float dot) {
  const float infinity = __uint_as_float(0x7f800000u);
  if (row.is_always_kept || query.is_always_kept) return {METRIC == kDot ? -infinity : 0.0f, infinity};
  const float z = __fmul_rn(query.scale, __fmul_rn(row.scale, dot));
  if (METRIC == kDot) {
    const float reach =
        __fmaf_rn(__fmul_rn(__fadd_rn(p.stretch, p.slack), terms.norm), row.error,
                  __fmaf_rn(__fmul_rn(__fmaf_rn(p.slack, terms.norm, query.error), p.norm_up), row.norm,
                            __fmaf_rn(__fadd_rn(fabsf(z), fabsf(terms.offset)), 0x1p-21f, terms.addend)));
    const float middle = __fsub_rn(-z, terms.offset);
    return {__fsub_rn(middle, reach), __fadd_rn(middle, reach)};
  }
  const float norms = __fmaf_rn(row.norm, row.norm, __fmul_rn(query.norm, query.norm));
  const float near = __fmaf_rn(-2.0f, z, __fmul_rn(p.shrink, norms));
  const float v = __fmaf_rn(p.norm_unit, row.scale, row.norm);
  const float q = __fmaf_rn(p.norm_unit, query.scale, query.norm);
  const float far = __fmaf_rn(-2.0f, z, __fmul_rn(p.grow, __fmaf_rn(v, v, __fmul_rn(q, q))));
  const float d = __fsub_rn(
      __fsub_rn(__fsub_rn(__fmul_rn(sqrtf(fmaxf(near, 0.0f)), 1 - 0x1p-18f), row.error), query.error),
      p.fixed);
  const float most =
      __fadd_rn(__fadd_rn(__fmul_rn(sqrtf(fmaxf(far, 0.0f)), 1 + 0x1p-18f), row.error), query.error);
  float lower = d > 0 ? __fmul_rn(__fmul_rn(d, d), p.lower) : 0.0f;
  float upper = __fmul_rn(__fmul_rn(most, most), p.upper);
  if (METRIC == kPoincare) {
    lower = lower / __fmul_rn(beta, beta);
    const float least = __fsub_rn(beta, __fadd_rn(p.beta_unit, p.beta_unit));
    upper = least > 0 ? upper / __fmul_rn(least, least) : infinity;
  } else {
    lower = fmaxf(__fsub_rn(lower, p.tiny), 0.0f);
  }
  return {lower, __fadd_rn(upper, p.tiny)};
}

// Puts a row of the store in its place among the candidates of query q.
__device__ inline void put_candidate(const CodedProductParams& p, uint32_t slot, uint32_t* candidates,
                                     uint32_t q, uint32_t row, const RankBounds& bounds) {
  if (slot >= p.capacity) return;
  const uint64_t plane = static_cast<uint64_t>(p.batch) * p.capacity;
  uint32_t* const to = candidates + static_cast<uint64_t>(q) * p.capacity + slot;
  to[0] = row;
  to[plane] = bounds.lower == -__uint_as_float(0x7f800000u) ? 0 : rank_key(bounds.lower);
  to[2 * plane] = rank_key(bounds.upper);
}

// Appends it.
__device__ inline void put_candidate(const CodedProductParams& p, uint32_t* counts, uint32_t* candidates,
                                     uint32_t q, uint32_t row, const RankBounds& bounds) {
  put_candidate(p, atomicAdd(&counts[q], 1u), candidates, q, row, bounds);
}

}  // namespace nearfield::cuda
