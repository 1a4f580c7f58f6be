// SPDX-License-Identifier: Apache-2.0
// What is kept beside a row that is codes alone (NF_DROP_F32): of the row that they decode to.
#pragma once

#include <cstdint>

#include "metric.hpp"
#include "rounding.hpp"

namespace nearfield {

struct DecodedRow {
  float side;   // row_side() of the decoded row
  float error;  // ScorePlan::errors
};

// `given`: the row as it was added, `given_side` its side value; `decoded`: dim floats.
inline DecodedRow decoded_row(int32_t metric, int64_t dim, const float* given, float given_side,
                              const float* decoded) {
  const bool scaled = metric == NF_COSINE;
  double rest = 0;
  for (int64_t i = 0; i < dim; ++i) {
    const float w = scaled ? given[i] * given_side : given[i];
    const double difference = static_cast<double>(w) - static_cast<double>(decoded[i]);
    rest += difference * difference;
  }
  const double squared = squared_norm(decoded, dim);
  // Of a cosine's row that decodes to nothing, which only tens of thousands of dimensions can bring about, no
  // direction is left.
  return {scaled && squared == 0 ? 0 : row_side(metric, squared), root_rounded_up(rest, dim)};
}

}  // namespace nearfield
