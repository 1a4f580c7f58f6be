// SPDX-License-Identifier: Apache-2.0
#include "checks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "metric.hpp"

namespace nearfield {
namespace {

long long wide(int64_t value) { return static_cast<long long>(value); }

// Bytes from the first element to the end of the last must exist in an address space, or nothing of the
// request is true.
Status check_span(const Call& call, const char* name, const void* data, int64_t rows, int64_t stride_bytes,
                  int64_t row_bytes) {
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<ptrdiff_t>::max());
  const auto stride = static_cast<uint64_t>(stride_bytes);
  const uint64_t steps = static_cast<uint64_t>(rows) - 1;
  const bool fits =
      (steps == 0 || stride <= (kMost - static_cast<uint64_t>(row_bytes)) / steps) &&
      reinterpret_cast<uintptr_t>(data) <=
          std::numeric_limits<uintptr_t>::max() - (steps * stride + static_cast<uint64_t>(row_bytes));
  if (fits) return {};
  return error(NF_INVALID_ARGUMENT,
               "%s: %s spans %lld rows of %lld bytes, more than this process can address", call.operation(),
               name, wide(rows), wide(stride_bytes));
}

[[gnu::cold]] Status not_finite(const Call& call, const char* noun, int64_t row, const float* x,
                                int64_t dim) {
  int64_t i = 0;
  while (i + 1 < dim && std::isfinite(x[i])) ++i;
  return error(NF_INVALID_ARGUMENT, "%s: %s %lld, dimension %lld is %s", call.operation(), noun, wide(row),
               wide(i), std::isnan(x[i]) ? "NaN" : (x[i] > 0 ? "infinity" : "-infinity"));
}

Status check_norm(const Call& call, const char* noun, int64_t row, const VectorRules& rules, double squared) {
  const bool poincare = rules.metric == NF_POINCARE;
  const double most = poincare ? rules.poincare_max_norm : kMaxNorm;
  const double norm = std::sqrt(squared);
  if (norm > most)
    return error(NF_INVALID_ARGUMENT, "%s: %s %lld has norm %.10g, at most %.10g is allowed%s",
                 call.operation(), noun, wide(row), norm, most, poincare ? " (poincare_max_norm)" : "");
  if (rules.metric == NF_COSINE && norm < kMinCosineNorm)
    return error(NF_INVALID_ARGUMENT, "%s: %s %lld has norm %.10g, cosine needs at least %.10g",
                 call.operation(), noun, wide(row), norm, kMinCosineNorm);
  return {};
}

}  // namespace

Status check_count(const Call& call, const char* name, int64_t count, int64_t limit) {
  if (count >= 0 && count <= limit) return {};
  return error(NF_INVALID_ARGUMENT, "%s: %s=%lld, it must be at least 0 and at most %lld", call.operation(),
               name, wide(count), wide(limit));
}

Status check_budget(const Call& call, const nf_step& step) {
  if (step.budget_ns >= 0) return {};
  return error(NF_INVALID_ARGUMENT, "%s: budget_ns=%lld, it must be at least 0", call.operation(),
               wide(step.budget_ns));
}

Status check_dtype(const Call& call, const char* name, int32_t dtype) {
  if (dtype == NF_F32) return {};
  if (dtype <= 0)
    return error(NF_INVALID_ARGUMENT, "%s: %s=%d is no element type, NF_F32 is %d", call.operation(), name,
                 dtype, NF_F32);
  return error(NF_UNIMPLEMENTED, "%s: %s=%d, this library serves NF_F32 (%d) only", call.operation(), name,
               dtype, NF_F32);
}

Status check_metric(const Call& call, int32_t metric) {
  if (metric >= NF_L2SQ && metric <= NF_MANHATTAN) return {};
  return error(metric <= 0 ? NF_INVALID_ARGUMENT : NF_UNIMPLEMENTED, "%s: metric=%d, known are %d to %d",
               call.operation(), metric, NF_L2SQ, NF_MANHATTAN);
}

Status check_dim(const Call& call, const char* name, int64_t dim) {
  if (dim >= 1 && dim <= kMaxDim) return {};
  return error(NF_INVALID_ARGUMENT, "%s: %s=%lld, it must be at least 1 and at most %lld", call.operation(),
               name, wide(dim), wide(kMaxDim));
}

Status check_poincare_max_norm(const Call& call, double* max_norm) {
  if (*max_norm == 0) *max_norm = kPoincareDefaultMaxNorm;
  if (*max_norm > 0 && *max_norm <= kPoincareLargestMaxNorm) return {};
  return error(NF_INVALID_ARGUMENT, "%s: poincare_max_norm=%.10g, it must be above 0 and at most %.10g",
               call.operation(), *max_norm, kPoincareLargestMaxNorm);
}

Status check_layout(const Call& call, const char* name, const nf_matrix& matrix, int64_t element) {
  NF_TRY(check_count(call, (std::string(name) + "->rows").c_str(), matrix.rows, kMaxRows));
  NF_TRY(check_dim(call, (std::string(name) + "->cols").c_str(), matrix.cols));
  if (matrix.rows == 0) return {};  // no element is ever touched
  const std::string data = std::string(name) + "->data";
  NF_TRY(check_pointer(call, data.c_str(), static_cast<const char*>(matrix.data)));
  const auto astray = static_cast<int64_t>(reinterpret_cast<uintptr_t>(matrix.data)) & (element - 1);
  if (astray != 0)
    return error(NF_INVALID_ARGUMENT, "%s: %s is misaligned by %lld bytes, it must be a multiple of %lld",
                 call.operation(), data.c_str(), wide(astray), wide(element));
  const int64_t row_bytes = matrix.cols * element;
  if (matrix.row_stride < row_bytes || matrix.row_stride % element != 0)
    return error(NF_INVALID_ARGUMENT,
                 "%s: %s->row_stride=%lld bytes, it must be a multiple of %lld and at least %lld",
                 call.operation(), name, wide(matrix.row_stride), wide(element), wide(row_bytes));
  return check_span(call, name, matrix.data, matrix.rows, matrix.row_stride, row_bytes);
}

Status read_matrix(const Call& call, const char* name, const nf_matrix* from, MatrixView* to) {
  nf_matrix matrix;
  NF_TRY(read_struct(call, name, from, &matrix));
  NF_TRY(check_dtype(call, (std::string(name) + "->dtype").c_str(), matrix.dtype));
  NF_TRY(check_layout(call, name, matrix, sizeof(float)));
  *to = {static_cast<float*>(matrix.data), matrix.rows, matrix.cols,
         matrix.row_stride / static_cast<int64_t>(sizeof(float))};
  return {};
}

Status check_cols(const Call& call, const char* name, const MatrixView& matrix, int64_t dim) {
  if (matrix.cols == dim) return {};
  return error(NF_INVALID_ARGUMENT, "%s: %s->cols=%lld, the dimension is %lld", call.operation(), name,
               wide(matrix.cols), wide(dim));
}

Status read_result(const Call& call, const nf_result* from, int64_t queries, ResultView* to) {
  nf_result result;
  NF_TRY(read_struct(call, "result", from, &result));
  if (result.k < 1)
    return error(NF_INVALID_ARGUMENT, "%s: k=%d, it must be at least 1", call.operation(), result.k);
  if (result.row_stride < result.k)
    return error(NF_INVALID_ARGUMENT, "%s: result->row_stride=%lld elements, it must be at least k=%d",
                 call.operation(), wide(result.row_stride), result.k);
  *to = {result.k,         result.rows,     result.distances,     result.row_stride,     result.count,
         result.certified, result.rescored, result.lists_scanned, result.recall_estimate};
  NF_TRY(check_array(call, "result->rows", to->rows, queries));
  NF_TRY(check_array(call, "result->distances", to->distances, queries));
  NF_TRY(check_optional(call, "result->count", to->count));
  NF_TRY(check_optional(call, "result->rescored", to->rescored));
  NF_TRY(check_optional(call, "result->lists_scanned", to->lists_scanned));
  NF_TRY(check_optional(call, "result->recall_estimate", to->recall));
  if (queries == 0) return {};
  constexpr int64_t kElement = sizeof(int64_t);
  if (result.row_stride > std::numeric_limits<int64_t>::max() / kElement)
    return error(NF_INVALID_ARGUMENT,
                 "%s: result->row_stride=%lld elements, more than this process can address", call.operation(),
                 wide(result.row_stride));
  return check_span(call, "result->rows", to->rows, queries, result.row_stride * kElement,
                    result.k * kElement);
}

Status check_row_numbers(const Call& call, const int64_t* rows, int64_t count, int64_t limit) {
  for (int64_t i = 0; i < count; ++i)
    if (rows[i] < 0 || rows[i] >= limit)
      return error(NF_INVALID_ARGUMENT, "%s: rows[%lld]=%lld, this index holds %lld rows", call.operation(),
                   wide(i), wide(rows[i]), wide(limit));
  return {};
}

Status check_unique(const Call& call, const int64_t* rows, int64_t count) {
  if (count < 2) return {};
  std::vector<int64_t> sorted(rows, rows + count);
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice == sorted.end()) return {};
  return error(NF_INVALID_ARGUMENT, "%s: row %lld is named twice, row numbers must be unique",
               call.operation(), wide(*twice));
}

Status check_ascending(const Call& call, const char* name, const int64_t* rows, int64_t count,
                       int64_t limit) {
  for (int64_t i = 0; i < count; ++i) {
    if (rows[i] < 0 || rows[i] >= limit)
      return error(NF_INVALID_ARGUMENT, "%s: %s->rows[%lld]=%lld, there are %lld rows", call.operation(),
                   name, wide(i), wide(rows[i]), wide(limit));
    if (i > 0 && rows[i] <= rows[i - 1])
      return error(NF_INVALID_ARGUMENT, "%s: %s->rows[%lld]=%lld follows %lld, row numbers must ascend",
                   call.operation(), name, wide(i), wide(rows[i]), wide(rows[i - 1]));
  }
  return {};
}

Status check_vectors(const Call& call, const char* noun, int64_t first, const VectorRules& rules,
                     const MatrixView& matrix, double* squared) {
  // 4 MiB of vectors between polls: about 1 ms.
  const int64_t between_polls = std::max<int64_t>(1, (int64_t{1} << 20) / matrix.cols);
  for (int64_t i = 0; i < matrix.rows; ++i) {
    if (i % between_polls == 0) NF_TRY(call.poll());
    squared[i] = squared_norm(matrix.row(i), matrix.cols);
    if (!std::isfinite(squared[i])) return not_finite(call, noun, first + i, matrix.row(i), matrix.cols);
    NF_TRY(check_norm(call, noun, first + i, rules, squared[i]));
  }
  return {};
}

Status check_coded_norm(const Call& call, const char* noun, int64_t row, int32_t metric, double squared) {
  const double norm = std::sqrt(squared);
  if (metric == NF_COSINE || norm <= kMaxCodedNorm) return {};
  return error(NF_INVALID_ARGUMENT,
               "%s: %s %lld has norm %.9g, rows that are kept as codes alone are at most %.9g long",
               call.operation(), noun, static_cast<long long>(row), norm, kMaxCodedNorm);
}

}  // namespace nearfield
