// SPDX-License-Identifier: Apache-2.0
// The queries of a part in one basis, as the kernels of codes read them.
#pragma once

#include <cstdint>
#include <vector>

#include "aligned_floats.hpp"
#include "coded_basis.hpp"
#include "kernels.hpp"

namespace nearfield::cpu {

// What ProductTest adds up for a row, apart from what follows from the limit.
struct ProductTerms {
  float of_pair, error, beta;

  // At least 0 where the row is kept. Of f32 terms in f64: rounded less than by a kernel.
  double excess(const ProductTest& test) const {
    const double e = error, b = beta;
    return static_cast<double>(of_pair) + static_cast<double>(test.per_error) * e +
           static_cast<double>(test.fixed) +
           b * (static_cast<double>(test.beta_squared) * b + static_cast<double>(test.per_beta) +
                static_cast<double>(test.per_beta_error) * e);
  }
};

class CodedQueries {
 public:
  void reset(int32_t metric, CodedBasisPtr basis, int64_t count);
  // Codes `count` queries from `first` on, at most kRotatedAtOnce; different ones by different workers.
  // `query`: the first, prepared, padded; the others follow every `stride` floats.
  void code(int64_t first, int32_t count, const float* query, int64_t stride, int32_t terms,
            const CodeKernels& kernels);
  // With one term, after all are coded.
  void copy_into_panels(const Panels& panels, int64_t packed_dims);

  // Gives back what is in the panels too; the tests of a product need no more.
  void keep_panels_alone();
  // Whether these have been coded, and into panels, in this basis.
  bool is_of(const CodedBasisPtr& basis, int64_t count) const { return basis_ == basis && count_ == count; }

  const CodedBasis& basis() const { return *basis_; }
  const CodedBasisPtr& basis_pointer() const { return basis_; }
  const CodedQuery& query(int64_t i) const { return queries_[static_cast<size_t>(i)]; }
  // The fields of a LevelTile that follow from the query.
  void put(int64_t i, LevelTile* tile) const;
  // Of one term, but for the test; so many levels are read together.
  RunQuery run_query(int64_t i, int64_t levels) const;
  const int8_t* panel(int64_t first_query) const { return packed() + first_query * stride_; }
  // Per query, of one term: 128 times the sum of its codes.
  const int32_t* product_bias(int64_t first_query) const { return sums_.data() + first_query; }

  // At a limit whose CodeTest is `test`.
  ProductTest product_test(int64_t i, const CodeTest& test) const;
  // Of a row whose side values these are, `row` of its group, and whose product with query i is given.
  ProductTerms product_terms(const ProductTest& test, const uint16_t* sides, int row, int32_t dots) const;
  // Of every query of one term, with room for the roundings of ProductTest.
  float product_shrink() const { return product_shrink_; }
  static constexpr float kProductWiden = 1 + 0x1p-19f;

  uint64_t bytes() const;
  static uint64_t bytes_per_query(uint64_t padded);
  static uint64_t spare_bytes(uint64_t padded);  // beside them: behind the last query

 private:
  void code_one(int64_t i, const float* query, const float* y, int32_t terms);
  int8_t* packed() const { return reinterpret_cast<int8_t*>(packed_.get()); }

  CodedBasisPtr basis_;
  int64_t count_ = 0;  // in panels
  int32_t metric_ = 0;
  float product_shrink_ = 0;
  std::vector<CodedQuery> queries_;
  std::vector<std::vector<int32_t>> bias_;  // with two terms: LevelTile::bias
  std::vector<int32_t> sums_;
  AlignedFloats packed_;  // int8
  int64_t stride_ = 0;    // from query to query
};

}  // namespace nearfield::cpu
