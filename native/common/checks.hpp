// SPDX-License-Identifier: Apache-2.0
// Every check of an argument, once, for all backends. Whatever passes is what the contract of backend.hpp
// promises to a backend.
#pragma once

#include <cstdint>

#include "call.hpp"
#include "nearfield/nearfield.h"
#include "request.hpp"
#include "status.hpp"

namespace nearfield {

// Bounds that no real request meets; below them no product of sizes overflows 63 bits: 2^40 rows of 2^16
// floats are 2^58 bytes. The dimension keeps one group of 32 rows at 8 MiB, which every binding takes.
inline constexpr int64_t kMaxRows = int64_t{1} << 40;
inline constexpr int64_t kMaxDim = int64_t{1} << 16;

// A host matrix of f32 whose shape has been checked.
struct MatrixView {
  float* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;  // floats

  float* row(int64_t i) const { return data + i * stride; }
  MatrixView slice(int64_t first, int64_t count) const { return {row(first), count, cols, stride}; }
};

// What a metric demands of its vectors.
struct VectorRules {
  int32_t metric = 0;
  double poincare_max_norm = 0;
};

// Numbers and pointers of a result for a batch of queries.
struct ResultView {
  int32_t k = 0;
  int64_t* rows = nullptr;
  float* distances = nullptr;
  int64_t stride = 0;
  int32_t* count = nullptr;
  uint8_t* certified = nullptr;
  int32_t* rescored = nullptr;
  int32_t* lists_scanned = nullptr;
  float* recall = nullptr;
};

// Sizes, stride and place of a matrix whose elements are so many bytes.
Status check_layout(const Call& call, const char* name, const nf_matrix& matrix, int64_t element);
Status read_matrix(const Call& call, const char* name, const nf_matrix* from, MatrixView* to);
Status check_cols(const Call& call, const char* name, const MatrixView& matrix, int64_t dim);
Status read_result(const Call& call, const nf_result* from, int64_t queries, ResultView* to);

// Rejects a negative or huge count, and a NULL or misaligned array of more than 0 elements.
Status check_count(const Call& call, const char* name, int64_t count, int64_t limit);
template <typename T>
Status check_array(const Call& call, const char* name, const T* array, int64_t count) {
  return count == 0 ? check_optional(call, name, array) : check_pointer(call, name, array);
}

Status check_budget(const Call& call, const nf_step& step);
Status check_metric(const Call& call, int32_t metric);
Status check_dtype(const Call& call, const char* name, int32_t dtype);
Status check_dim(const Call& call, const char* name, int64_t dim);
// 0 becomes the default.
Status check_poincare_max_norm(const Call& call, double* max_norm);

// Row numbers in [0, limit).
Status check_row_numbers(const Call& call, const int64_t* rows, int64_t count, int64_t limit);
Status check_unique(const Call& call, const int64_t* rows, int64_t count);
// Row numbers in [0, limit), each greater than the one before.
Status check_ascending(const Call& call, const char* name, const int64_t* rows, int64_t count, int64_t limit);

// Rejects NaN, infinity and norms that the metric cannot serve, naming "<noun> <row>" (and the dimension);
// squared[i] becomes the squared norm of row i in f64. `first` is the number in messages of row 0.
Status check_vectors(const Call& call, const char* noun, int64_t first, const VectorRules& rules,
                     const MatrixView& matrix, double* squared);

// Of a row, or one that codes are fitted to, where rows are kept as codes alone.
Status check_coded_norm(const Call& call, const char* noun, int64_t row, int32_t metric, double squared);

}  // namespace nearfield
