// SPDX-License-Identifier: Apache-2.0
// nf_quantize: rows as int8 codes with a scale of their own, or in bf16. On the host, so that the bytes are
// the same everywhere.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "checks.hpp"
#include "entries.hpp"
#include "rounding.hpp"

namespace nearfield {
namespace {

constexpr float kLeastScale = 0x1p-100f;

double squared_difference(float x, float decoded) {
  const double difference = static_cast<double>(x) - static_cast<double>(decoded);
  return difference * difference;
}

// One row's codes, as nearfield.h describes them. Returns the scale.
float quantize_i8(const float* x, int64_t dim, int8_t* codes, float* error) {
  float most = 0;
  for (int64_t i = 0; i < dim; ++i) most = std::max(most, std::fabs(x[i]));
  const float scale = std::max(most / 127.0f, kLeastScale);
  const float reciprocal = 1.0f / scale;
  double squared = 0;
  for (int64_t i = 0; i < dim; ++i) {
    const float code = std::clamp(std::nearbyint(x[i] * reciprocal), -127.0f, 127.0f);
    codes[i] = static_cast<int8_t>(code);
    squared += squared_difference(x[i], code * scale);
  }
  *error = root_rounded_up(squared, dim);
  return scale;
}

void quantize_bf16(const float* x, int64_t dim, uint16_t* codes, float* error) {
  double squared = 0;
  for (int64_t i = 0; i < dim; ++i) {
    const auto bits = std::bit_cast<uint32_t>(x[i]);
    codes[i] = static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);  // half to even
    squared += squared_difference(x[i], std::bit_cast<float>(static_cast<uint32_t>(codes[i]) << 16));
  }
  *error = root_rounded_up(squared, dim);
}

struct QuantizeRequest {
  MatrixView from;
  nf_matrix codes;
  int64_t element = 1;  // bytes of a code
  float *scales = nullptr, *errors = nullptr;
};

Status read_codes(const Call& call, const nf_matrix* from, QuantizeRequest* to) {
  nf_matrix& codes = to->codes;
  NF_TRY(read_struct(call, "codes", from, &codes));
  if (codes.dtype != NF_I8 && codes.dtype != NF_BF16)
    return error(codes.dtype <= 0 ? NF_INVALID_ARGUMENT : NF_UNIMPLEMENTED,
                 "%s: codes->dtype=%d, this library makes NF_I8 (%d) and NF_BF16 (%d)", call.operation(),
                 codes.dtype, NF_I8, NF_BF16);
  to->element = codes.dtype == NF_I8 ? 1 : 2;
  NF_TRY(check_layout(call, "codes", codes, to->element));
  if (codes.rows == to->from.rows && codes.cols == to->from.cols) return {};
  return error(NF_INVALID_ARGUMENT, "%s: codes are %lld x %lld, the rows are %lld x %lld", call.operation(),
               static_cast<long long>(codes.rows), static_cast<long long>(codes.cols),
               static_cast<long long>(to->from.rows), static_cast<long long>(to->from.cols));
}

Status read_request(const Call& call, const nf_quantize* from, QuantizeRequest* to) {
  nf_quantize request;
  NF_TRY(read_struct(call, "request", from, &request));
  NF_TRY(check_flags(call, "flags", request.flags, 0));
  NF_TRY(read_matrix(call, "from", request.from, &to->from));
  NF_TRY(read_codes(call, request.codes, to));
  if (to->codes.dtype == NF_I8) {
    NF_TRY(check_array(call, "scales", request.scales, to->from.rows));
  } else if (request.scales != nullptr) {
    return error(NF_INVALID_ARGUMENT, "%s: scales=%p, bf16 has none: it must be NULL", call.operation(),
                 static_cast<const void*>(request.scales));
  }
  NF_TRY(check_optional(call, "errors", request.errors));
  to->scales = request.scales;
  to->errors = request.errors;
  return {};
}

// Nothing is written to the caller before all of it is known.
Status quantize(const Call& call, const QuantizeRequest& request) {
  const MatrixView& from = request.from;
  const auto rows = static_cast<size_t>(from.rows),
             row_bytes = static_cast<size_t>(from.cols * request.element);
  std::vector<unsigned char> codes(rows * row_bytes);
  std::vector<float> scales(rows), errors(rows);
  constexpr int64_t kBlockFloats = int64_t{1} << 20;  // between polls: about 2 ms
  const int64_t block = std::max<int64_t>(1, kBlockFloats / from.cols);
  std::vector<double> squared(static_cast<size_t>(std::min(block, from.rows)));
  for (int64_t row = 0; row < from.rows; ++row) {
    if (row % block == 0)
      NF_TRY(check_vectors(call, "row", row, {NF_L2SQ, 0}, from.slice(row, std::min(block, from.rows - row)),
                           squared.data()));
    const auto at = static_cast<size_t>(row);
    void* const to = codes.data() + at * row_bytes;
    if (request.element == 1) {
      scales[at] = quantize_i8(from.row(row), from.cols, static_cast<int8_t*>(to), &errors[at]);
    } else {
      quantize_bf16(from.row(row), from.cols, static_cast<uint16_t*>(to), &errors[at]);
    }
  }
  for (size_t row = 0; row < rows; ++row)
    std::memcpy(static_cast<unsigned char*>(request.codes.data) +
                    static_cast<int64_t>(row) * request.codes.row_stride,
                codes.data() + row * row_bytes, row_bytes);
  if (request.scales != nullptr) std::copy(scales.begin(), scales.end(), request.scales);
  if (request.errors != nullptr) std::copy(errors.begin(), errors.end(), request.errors);
  return {};
}

}  // namespace

nf_status quantize_entry(nf_context* context, const nf_quantize* from, nf_call* call) {
  return on_context("quantize", context, call, [&](const Call& c, Context&) -> Status {
    QuantizeRequest request;
    NF_TRY(read_request(c, from, &request));
    return request.from.rows == 0 ? Status() : quantize(c, request);
  });
}

}  // namespace nearfield
