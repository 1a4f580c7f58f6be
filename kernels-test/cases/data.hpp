// SPDX-License-Identifier: Apache-2.0
// Vectors with a stride, and the generators of cases.
#pragma once

#include <cstdint>
#include <vector>

#include "case.hpp"
#include "nearfield/nearfield.h"
#include "random.hpp"

namespace nearfield::test {

// Rows at a stride. Everything that is no element is NaN, so that a backend which reads beyond a row shows
// it.
class Vectors {
 public:
  Vectors() = default;
  Vectors(int64_t rows, int32_t dim, bool padded);

  int64_t rows() const { return rows_; }
  int32_t dim() const { return dim_; }
  float* row(int64_t i) { return storage_.data() + i * stride_; }
  const float* row(int64_t i) const { return storage_.data() + i * stride_; }
  bool equal_rows(int64_t i, int64_t j) const;
  void set_row(int64_t i, const float* from);
  // Rows first .. first + count - 1, borrowed.
  nf_matrix matrix(int64_t first, int64_t count) const;
  nf_matrix matrix() const { return matrix(0, rows_); }
  // Of all bytes, those between the rows included.
  uint64_t checksum() const;

 private:
  int64_t rows_ = 0;
  int32_t dim_ = 0;
  int64_t stride_ = 0;  // floats
  std::vector<float> storage_;
};

// Fills `to` with vectors that the metric accepts. The clusters or the repeated vector come from `shape`, so
// that queries made with the same shape lie among the rows.
void generate(Data data, int32_t metric, uint64_t shape, uint64_t seed, Vectors* to);

}  // namespace nearfield::test
