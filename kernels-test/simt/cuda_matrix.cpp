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

double power_of_two(uint64_t biased_exponent) { return std::bit_cast<double>(biased_exponent << 52); }

// kTf32Block products from k on to each of the four sums. In loops over the four, which compilers make
// vectors of.
void add_block(const Tf32Corner& rows, const Tf32Corner& columns, unsigned k, float* d) {
  double terms[kTf32Block + 1][4], largest[4], plain[4];
  for (unsigned i = 0; i < 4; ++i) {
    terms[kTf32Block][i] = plain[i] = static_cast<double>(d[i]);
    largest[i] = std::abs(plain[i]);
  }
  for (unsigned j = 0; j < kTf32Block; ++j)
    for (unsigned i = 0; i < 4; ++i) {
      // Exact: 22 bits.
      terms[j][i] = static_cast<double>(rows[i / 2][k + j]) * static_cast<double>(columns[i % 2][k + j]);
      largest[i] = std::max(largest[i], std::abs(terms[j][i]));
      plain[i] += terms[j][i];
    }
  // Biased exponents of the largest term and, of its last bit that is kept, of the unit. f64 is far from its
  // own limits here, but for zeros, infinities and NaN, which are put right below.
  constexpr uint64_t bias = 1023;
  double up[4], unit[4];
  bool usual[4];
  for (unsigned i = 0; i < 4; ++i) {
    usual[i] = largest[i] != 0 && std::isfinite(plain[i]);
    const uint64_t exponent = std::bit_cast<uint64_t>(largest[i]) >> 52;
    up[i] = power_of_two(2 * bias + (kTf32KeptBits - 1) - exponent);
    unit[i] = power_of_two(exponent - (kTf32KeptBits - 1));
  }
  int32_t sums[4] = {};
  for (const auto& term : terms)
    for (unsigned i = 0; i < 4; ++i) sums[i] += static_cast<int32_t>(usual[i] ? term[i] * up[i] : 0);
  for (unsigned i = 0; i < 4; ++i) {
    const double exact = sums[i] * unit[i];
    const auto rounded = static_cast<float>(exact);
    // Towards zero.
    const uint32_t above = std::abs(static_cast<double>(rounded)) > std::abs(exact) ? 1 : 0;
    d[i] = usual[i] ? std::bit_cast<float>(std::bit_cast<uint32_t>(rounded) - above)
                    : static_cast<float>(plain[i]);
  }
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

void add_tf32(const Tf32Corner& rows, const Tf32Corner& columns, float* d) {
  for (unsigned k = 0; k < kTf32Depth; k += kTf32Block) add_block(rows, columns, k, d);
}

void mma_tf32(float* d, const uint32_t* a, const uint32_t* b, Site where) {
  meet(a, b, where);
  const unsigned group = thread().lane / 4, column = thread().lane % 4 * 2;
  Tf32Corner rows, columns;
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
  add_tf32(rows, columns, d);
}

}  // namespace nearfield::simt
