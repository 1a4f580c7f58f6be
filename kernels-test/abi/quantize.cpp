// SPDX-License-Identifier: Apache-2.0
// nf_quantize against its description in nearfield.h, byte by byte, and what it refuses.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "harness.hpp"

namespace nearfield_test {
namespace {

constexpr int64_t kRows = 40, kCols = 19, kStride = kCols + 2, kCodeStride = 2 * kCols + 6;
constexpr unsigned char kPattern = 0x5A;

struct Request {
  std::vector<float> rows;
  std::vector<unsigned char> bytes = std::vector<unsigned char>(kRows * kCodeStride + 8, kPattern);
  std::vector<float> scale_space = std::vector<float>(kRows + 1, -7.0f), error_space = scale_space;
  nf_matrix from = sized<nf_matrix>(), codes = sized<nf_matrix>();
  nf_quantize request = sized<nf_quantize>();

  Request(uint64_t seed, int32_t dtype) {
    std::mt19937_64 random(seed);
    for (int64_t row = 0; row < kRows; ++row) {
      // From rows whose scale is its least value to the longest, zeros among them.
      const double size = row % 8 == 7 ? 0 : std::exp2(static_cast<double>(row) * 4.5 - 130);
      for (int64_t i = 0; i < kStride; ++i) {
        const double value = static_cast<double>(random() % 2'000'001) / 1'000'000 - 1;
        rows.push_back(static_cast<float>(value * std::min(size, 0x1p58)));
      }
    }
    for (int64_t i = 0; i < kCols; ++i) rows[static_cast<size_t>(i)] = 0.5f * static_cast<float>(i);  // ties
    from.dtype = NF_F32;
    from.data = rows.data();
    from.rows = codes.rows = kRows;
    from.cols = codes.cols = kCols;
    from.row_stride = kStride * 4;
    codes.dtype = dtype;
    codes.data = bytes.data();
    codes.row_stride = kCodeStride;
    request.from = &from;
    request.codes = &codes;
    request.scales = dtype == NF_I8 ? scale_space.data() : nullptr;
    request.errors = error_space.data();
  }
  const float* row(int64_t i) const { return rows.data() + i * kStride; }
  bool untouched() const {
    const auto is = [](const auto& all, auto value) {
      return std::all_of(all.begin(), all.end(), [value](auto x) { return x == value; });
    };
    return is(bytes, kPattern) && is(scale_space, -7.0f) && is(error_space, -7.0f);
  }
};

// At least the length of the difference in f64, and no more than its rounding to f32 may add.
bool is_error_of(float error, double squared) {
  const double length = std::sqrt(squared);
  return static_cast<double>(error) >= length * (1 - 0x1p-45) &&
         static_cast<double>(error) <= length * (1 + 0x1p-22) + 0x1p-148;
}

void test_i8(const Bench& bench, nf_context* context) {
  Request r(bench.seed, NF_I8);
  Caller caller;
  if (!bench.ok(bench.api->quantize(context, &r.request, &caller.call), "quantize to I8", caller)) return;
  for (int64_t row = 0; row < kRows; ++row) {
    const float* const x = r.row(row);
    float most = 0;
    for (int64_t i = 0; i < kCols; ++i) most = std::max(most, std::fabs(x[i]));
    const volatile float quotient = most / 127.0f;
    const float scale = std::max(static_cast<float>(quotient), 0x1p-100f);
    const volatile float reciprocal = 1.0f / scale;
    double squared = 0;
    bool same = true;
    for (int64_t i = 0; i < kCols; ++i) {
      const volatile float product = x[i] * reciprocal;
      const float code = std::clamp(std::nearbyint(static_cast<float>(product)), -127.0f, 127.0f);
      const auto made = static_cast<int8_t>(r.bytes[static_cast<size_t>(row * kCodeStride + i)]);
      same = same && static_cast<float>(made) == code;
      const volatile float decoded = code * scale;
      const double rest = static_cast<double>(x[i]) - static_cast<double>(decoded);
      squared += rest * rest;
    }
    const auto at = static_cast<size_t>(row);
    const std::string name = "quantize to I8: row " + std::to_string(row);
    bench.report->check(same && r.scale_space[at] == scale, name);
    bench.report->check(is_error_of(r.error_space[at], squared), name + ": its error",
                        std::to_string(r.error_space[at]));
    for (int64_t i = kCols; i < kCodeStride; ++i)
      bench.report->check(r.bytes[static_cast<size_t>(row * kCodeStride + i)] == kPattern,
                          name + ": what lies beside it");
  }
  bench.report->check(r.scale_space[kRows] == -7 && r.error_space[kRows] == -7,
                      "quantize to I8: no more than its rows");
  const std::vector<unsigned char> bytes = r.bytes;
  r.request.errors = nullptr;
  bench.ok(bench.api->quantize(context, &r.request, nullptr), "quantize without errors", caller);
  bench.report->check(r.bytes == bytes, "quantize twice: the same bytes");
}

void test_bf16(const Bench& bench, nf_context* context) {
  Request r(bench.seed, NF_BF16);
  Caller caller;
  if (!bench.ok(bench.api->quantize(context, &r.request, &caller.call), "quantize to BF16", caller)) return;
  for (int64_t row = 0; row < kRows; ++row) {
    double squared = 0;
    bool nearest = true;
    for (int64_t i = 0; i < kCols; ++i) {
      uint16_t code;
      std::memcpy(&code, r.bytes.data() + row * kCodeStride + 2 * i, 2);
      const auto value = [](uint32_t upper) {
        return static_cast<double>(std::bit_cast<float>(upper << 16));
      };
      const double x = static_cast<double>(r.row(row)[i]), rest = std::fabs(x - value(code));
      squared += rest * rest;
      // Its neighbours away from and towards 0; a tie goes to the even one.
      const double farther = std::fabs(x - value(code + 1u));
      const double nearer = (code & 0x7FFF) == 0 ? farther : std::fabs(x - value(code - 1u));
      nearest =
          nearest && rest <= farther && rest <= nearer && (std::min(farther, nearer) > rest || code % 2 == 0);
    }
    const std::string name = "quantize to BF16: row " + std::to_string(row);
    bench.report->check(nearest, name);
    bench.report->check(is_error_of(r.error_space[static_cast<size_t>(row)], squared), name + ": its error");
  }
}

void test_refusals(const Bench& bench, nf_context* context) {
  const auto refused = [&](int32_t dtype, const char* name, nf_status wanted, const char* words,
                           auto change) {
    Request r(bench.seed, dtype);
    change(r);
    Caller caller;
    const nf_status status = bench.api->quantize(context, &r.request, &caller.call);
    bench.report->check(
        status == wanted && std::strstr(caller.error.message, words) != nullptr && r.untouched(),
        std::string("quantize: ") + name, std::string(status_name(status)) + " " + caller.error.message);
  };
  const auto bad = [&](const char* name, const char* words, auto change) {
    refused(NF_I8, name, NF_INVALID_ARGUMENT, words, change);
  };
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  bad("NaN", "row 39, dimension 18 is NaN", [&](Request& r) { r.rows[39 * kStride + 18] = nan; });
  bad("-infinity", "row 2, dimension 0 is -infinity", [&](Request& r) { r.rows[2 * kStride] = -infinity; });
  bad("a norm of 1e19", "row 1 has norm", [](Request& r) { r.rows[kStride] = 1e19f; });
  bad("codes of no type", "dtype=0", [](Request& r) { r.codes.dtype = 0; });
  bad("a row of codes less", "codes are 39 x 19, the rows are 40 x 19", [](Request& r) { --r.codes.rows; });
  bad("a column of codes more", "codes are 40 x 20", [](Request& r) { ++r.codes.cols; });
  bad("codes that overlap", "row_stride=18", [](Request& r) { r.codes.row_stride = 18; });
  bad("codes beyond the address space", "address", [](Request& r) { r.codes.row_stride = INT64_MAX; });
  bad("codes NULL", "codes is NULL", [](Request& r) { r.request.codes = nullptr; });
  bad("codes->data NULL", "codes->data is NULL", [](Request& r) { r.codes.data = nullptr; });
  bad("from NULL", "from is NULL", [](Request& r) { r.request.from = nullptr; });
  bad("scales NULL", "scales is NULL", [](Request& r) { r.request.scales = nullptr; });
  bad("scales misaligned", "misaligned", [](Request& r) {
    r.request.scales = reinterpret_cast<float*>(reinterpret_cast<uintptr_t>(r.request.scales) + 2);
  });
  bad("errors misaligned", "misaligned", [](Request& r) {
    r.request.errors = reinterpret_cast<float*>(reinterpret_cast<uintptr_t>(r.request.errors) + 2);
  });
  bad("a short request", "struct_size", [](Request& r) { --r.request.struct_size; });
  bad("short codes", "struct_size", [](Request& r) { r.codes.struct_size = 0; });
  refused(NF_BF16, "BF16 with scales", NF_INVALID_ARGUMENT,
          "scales=", [](Request& r) { r.request.scales = r.scale_space.data(); });
  refused(NF_BF16, "BF16 at an odd address", NF_INVALID_ARGUMENT, "misaligned by 1 bytes",
          [](Request& r) { r.codes.data = r.bytes.data() + 1; });
  refused(NF_BF16, "BF16 with an odd stride", NF_INVALID_ARGUMENT, "row_stride=43",
          [](Request& r) { r.codes.row_stride = 43; });
  refused(NF_F16, "F16", NF_UNIMPLEMENTED, "dtype=2",
          [](Request& r) { r.request.scales = r.scale_space.data(); });
  refused(NF_F32, "F32", NF_UNIMPLEMENTED, "dtype=1", [](Request&) {});
  refused(NF_I8, "flags", NF_UNIMPLEMENTED, "flags=0x1", [](Request& r) { r.request.flags = 1; });
  refused(NF_I8, "rows of BF16", NF_UNIMPLEMENTED, "from->dtype=3",
          [](Request& r) { r.from.dtype = NF_BF16; });
}

}  // namespace

void test_quantize(const Bench& bench) {
  const ContextHandle context = bench.context();
  test_i8(bench, context.get());
  test_bf16(bench, context.get());
  test_refusals(bench, context.get());
  Caller caller;
  Request r(bench.seed, NF_I8);
  bench.report->check(bench.api->quantize(nullptr, &r.request, &caller.call) == NF_INVALID_ARGUMENT,
                      "quantize: context NULL");
  bench.report->check(bench.api->quantize(context.get(), nullptr, &caller.call) == NF_INVALID_ARGUMENT,
                      "quantize: request NULL");
  r.from.rows = r.codes.rows = 0;
  r.from.data = r.codes.data = nullptr;
  r.request.scales = r.request.errors = nullptr;
  bench.ok(bench.api->quantize(context.get(), &r.request, &caller.call), "quantize: no rows", caller);
  uint32_t cancel = 1;
  Request cancelled(bench.seed, NF_I8);
  caller.call.cancel = &cancel;
  bench.report->check(bench.api->quantize(context.get(), &cancelled.request, &caller.call) == NF_CANCELLED &&
                          cancelled.untouched(),
                      "quantize: cancelled");
  nf_capability what = sized<nf_capability>();
  what.op = NF_OP_QUANTIZE;
  what.input_dtype = NF_F32;
  for (const int32_t dtype : {NF_F32, NF_F16, NF_BF16, NF_I8}) {
    what.store_dtype = dtype;
    bench.report->check(
        bench.api->supports(context.get(), &what) == (dtype == NF_BF16 || dtype == NF_I8 ? 1 : 0),
        "supports: quantize to " + std::to_string(dtype));
  }
}

}  // namespace nearfield_test
