// SPDX-License-Identifier: Apache-2.0
// A query in the coordinates of a basis, as one or two int8 terms, and the bound by which rows are left out.
// All of it in f64, on the host. docs/numerics.md, "Certified int8 by levels", has the derivation; the
// letters are those used there.
#pragma once

#include <cstdint>
#include <vector>

#include "basis.hpp"

namespace nearfield {

// y^_q = scale[0] a + scale[1] b.
struct CodedQuery {
  std::vector<int8_t> codes[2];  // coded_dim each; with one term the second is empty
  float scale[2] = {0, 0};
  std::vector<float> tails;  // |y^_q from level l on|, l = 0 .. levels, the last is 0; rounded up, with room
                             // for two roundings more
  double squared = 0;        // |y^_q|^2
  double error = 0;          // e_q, rounded up
  double rho = 1;            // (|s1 a| + |s2 b|) / |y^_q|, rounded up
  double norm = 0;           // |q|
  double offset = 0;         // q . m, of dot
  bool direct = false;       // too long for the bound: to be searched without codes
};

// y = R (q - m), of dot R q, in f32: dim floats.
void rotate_query(const Basis& basis, int32_t metric, const float* query, float* y);

// `query` as prepared by metric.hpp, `y` as rotate_query leaves it, or summed in another order; terms 1 or 2.
// Memory of `out` is reused.
void code_query(const Basis& basis, int32_t metric, const float* query, const float* y, int32_t terms,
                CodedQuery* out);

// What a kernel compares a row with, for one query. With z = s (s1 A + s2 B) + t_q t_v after the levels seen,
// A and B the integer dots, v^ = |c| s and e of the row (code_layout.hpp),
//   L2, cosine, Poincare: keep when  (shrink v^^2 + query) - 2 z <= widen (base + gain beta + e)^2
//   dot:                  keep when  -z <= base + per_error e + per_norm v^
// every operation in f32, fused or not, in this order. Rows of kAlwaysKeep are kept. An infinite base keeps
// all.
struct CodeTest {
  float shrink = 0, query = 0, widen = 0;  // of basis and query
  float per_error = 0, per_norm = 0;
  float base = 0, gain = 0;  // of the limit
};

class CodeBound {
 public:
  // `canonical_roundings`: the canonical form's relative error is at most so many u; 0: n + 4, where it
  // fuses.
  CodeBound(int32_t metric, const Basis& basis, int64_t canonical_roundings = 0);

  // For rows that go when their rank is above `limit`; infinity: none goes.
  CodeTest test(const CodedQuery& query, float limit) const;
  void set_limit(const CodedQuery& query, float limit, CodeTest* test) const;

  // For a device that follows a limit by itself, in f32 (kernel_params.h: CodeQuery): not less than what
  // set_limit() makes of it.
  struct LimitTerms {
    float slope, constant, offset;
  };
  LimitTerms limit_terms(const CodedQuery& query) const;

  // For a device that bounds the ranks of pairs of a row and a query, both coded like rows, one term each
  // (kernel_params.h: CodedProductParams has what the fields mean).
  struct PairTerms {
    float shrink, grow;             // of squares of norms, below and above
    float slope, addend;            // of a limit: how far a row may be, errors left out
    float fixed;                    // beside the errors
    float lower, upper;             // of a square of a distance: the canonical rank is between
    float tiny;                     // what a device may have flushed
    float stretch, slack, norm_up;  // of dot
  };
  PairTerms pair_terms() const;
  // Of dot and one query: the constant of its reach.
  float pair_addend(double norm, double offset) const;

  // A capped search rescores the rows of least (bound, row). The bound of a row, from the kernel's left side
  // (dot: -z) at the last level under capped_test(), is a lower bound of what its rank is compared with
  // below, the same however the search went.
  struct Row {
    float norm, error, beta;  // v^, e, beta
  };
  CodeTest capped_test(const CodedQuery& query) const;  // keeps all until a cutoff is set
  // Rows whose bound is above `cutoff` go, at any level; none below goes.
  void set_cutoff(const CodedQuery& query, float cutoff, CodeTest* test) const;
  float lower_bound(const CodedQuery& query, float value, const Row& row) const;
  // Whether a row of this bound, and every row of a larger one, has a rank above `limit`.
  bool excludes(const CodedQuery& query, float bound, float limit) const;

 private:
  double c(const CodedQuery& query) const;
  double reach(
      float limit) const;  // sqrt((T + t) (1 + d) W): how far a row within the limit may be, e left out
  double norm_up() const;  // |y^_v| is at most so many v^
  double dot_slack(const CodedQuery& query) const;
  double dot_constant(double norm) const;

  int32_t metric_;
  double dim_, chunks_, stretch_;
  double shorter_;    // |x| <= |R x| shorter_
  double departure_;  // d shorter_
  double mean_norm_, widen_, tiny_;
};

}  // namespace nearfield
