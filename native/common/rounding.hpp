// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace nearfield {

// sqrt(squared), a sum in f64 of `terms` squares, rounded up to f32.
inline float root_rounded_up(double squared, int64_t terms) {
  const double error = std::sqrt(squared) * (1 + static_cast<double>(terms + 4) * 0x1p-52);
  const auto rounded = static_cast<float>(error);
  return static_cast<double>(rounded) >= error
             ? rounded
             : std::nextafter(rounded, std::numeric_limits<float>::infinity());
}

}  // namespace nearfield
