// SPDX-License-Identifier: Apache-2.0
#include "cuda_matrix.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "tf32.hpp"

namespace nearfield::simt {
namespace {

constexpr Lanes kAllLanes = 0xffffffff;  // mma.sync.aligned

// What a lane hands over; a lane then gathers its two rows of A and its two columns of B.
struct Operands {
  uint32_t a[4], b[2];
};

void meet(const uint32_t* a, const uint32_t* b, Site where) {
  exchange(kAllLanes, Operands{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}}, where);
}

}  // namespace

void mma_s8(int32_t* d, const uint32_t* a, const uint32_t* b, Site where) {
  meet(a, b, where);
  const unsigned group = thread().lane / 4, column = thread().lane % 4 * 2;
  uint32_t rows[2][8], columns[2][8];  // four k a word
  for (unsigned t = 0; t < 4; ++t) {
    const auto left = exchanged<Operands>(group * 4 + t);
    for (unsigned i = 0; i < 2; ++i) {
      const auto right = exchanged<Operands>((column + i) * 4 + t);
      for (unsigned half = 0; half < 2; ++half) {  // of k
        rows[i][half * 4 + t] = left.a[half * 2 + i];
        columns[i][half * 4 + t] = right.b[half];
      }
    }
  }
  int8_t row_bytes[2][32], column_bytes[2][32];
  std::memcpy(row_bytes, rows, sizeof(rows));
  std::memcpy(column_bytes, columns, sizeof(columns));
  for (unsigned i = 0; i < 4; ++i) {
    int32_t sum = 0;
    for (unsigned k = 0; k < 32; ++k) sum += row_bytes[i / 2][k] * column_bytes[i % 2][k];
    d[i] = static_cast<int32_t>(static_cast<uint32_t>(d[i]) + static_cast<uint32_t>(sum));
  }
}

float tf32_of(uint32_t bits) { return std::bit_cast<float>(bits >> kTf32DroppedBits << kTf32DroppedBits); }

float add_tf32_block(const float* a, const float* b, float accumulator) {
  double terms[kTf32Block + 1];
  terms[kTf32Block] = static_cast<double>(accumulator);
  double largest = std::abs(terms[kTf32Block]), plain = terms[kTf32Block];
  for (int i = 0; i < kTf32Block; ++i) {
    terms[i] = static_cast<double>(a[i]) * static_cast<double>(b[i]);  // exact: 22 bits
    largest = std::max(largest, std::abs(terms[i]));
    plain += terms[i];
  }
  if (largest == 0 || !std::isfinite(plain)) return static_cast<float>(plain);
  // The place of the last bit that is kept, as an exponent. f64 is far from its own limits here.
  const int last = static_cast<int>(std::bit_cast<uint64_t>(largest) >> 52) - 1023 - (kTf32KeptBits - 1);
  const auto power = [](int exponent) {
    return std::bit_cast<double>(static_cast<uint64_t>(1023 + exponent) << 52);
  };
  const double up = power(-last);
  int32_t sum = 0;
  for (const double term : terms) sum += static_cast<int32_t>(term * up);
  const double exact = sum * power(last);
  auto rounded = static_cast<float>(exact);
  if (std::abs(static_cast<double>(rounded)) > std::abs(exact))  // towards zero
    rounded = std::bit_cast<float>(std::bit_cast<uint32_t>(rounded) - 1);
  return rounded;
}

void mma_tf32(float* d, const uint32_t* a, const uint32_t* b, Site where) {
  meet(a, b, where);
  const unsigned group = thread().lane / 4, column = thread().lane % 4 * 2;
  float rows[2][8], columns[2][8];
  for (unsigned t = 0; t < 4; ++t) {
    const auto left = exchanged<Operands>(group * 4 + t);
    for (unsigned i = 0; i < 2; ++i) {
      const auto right = exchanged<Operands>((column + i) * 4 + t);
      for (unsigned half = 0; half < 2; ++half) {
        rows[i][half * 4 + t] = tf32_of(left.a[half * 2 + i]);
        columns[i][half * 4 + t] = tf32_of(right.b[half]);
      }
    }
  }
  for (unsigned i = 0; i < 4; ++i)
    for (unsigned k = 0; k < 8; k += kTf32Block)
      d[i] = add_tf32_block(&rows[i / 2][k], &columns[i % 2][k], d[i]);
}

}  // namespace nearfield::simt
