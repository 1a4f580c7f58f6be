// SPDX-License-Identifier: Apache-2.0
// How the codes of a slab lie in memory. Codes are private to a backend; this is the layout of those that
// keep it.
//
//   codes   [level][group][chunk of 4 dimensions][32 rows][4]   u8: code + 128, so that padding is 128
//   tails   [level 1 ..][group][32]                             u8: |c from this level on| in 1/254 of the
//   row's norm sides   [group][scale, norm, error, (Poincare) beta][32]    u16
//
// Plane by plane: the first level streams, and what survives it jumps (three times faster than group by
// group, issue 12).
//
// A row's side values, of its code vector c (within +-127) and scale s, so that y^ = s c:
//   scale  s, the upper half of an f32 (bf16), rounded up, at least 2^-100
//   norm   |c| rounded down, in units of norm_unit()
//   error  e / s rounded up, in units of error_unit(), e >= |R (w - m) - s c| with all roundings; 65535: the
//   row is always kept beta   alpha^(-1/2) of the stored alpha, rounded up, in units of kBetaUnit
// |c| <= 127 sqrt(D) and |y/s - c| <= sqrt(D)/2, so that fixed units cover both, four times finer than f16's
// at the largest values.
#pragma once

#include <cmath>
#include <cstdint>

#include "basis.hpp"
#include "nearfield/nearfield.h"
#include "tile32.hpp"

namespace nearfield {

inline constexpr uint16_t kAlwaysKeep = 65535;
inline constexpr int32_t kTailUnits =
    254;  // |c| is rounded down by less than 1/254: a whole tail still fits 255
inline constexpr float kBetaUnit = 1.0f / 65500;  // beta is at most 1
inline constexpr float kLeastScale = 0x1p-100f;
inline constexpr uint8_t kCodeBias = 128;

struct CodeLayout {
  int32_t metric = 0;
  int32_t dim = 0;
  int32_t level_dims = 8;
  int64_t groups = 0;  // of the slab

  int64_t levels() const { return (dim + level_dims - 1) / level_dims; }
  int64_t coded_dim() const { return levels() * level_dims; }
  int64_t side_planes() const { return metric == NF_POINCARE ? 4 : 3; }
  int64_t level_bytes() const { return int64_t{level_dims} * kGroupRows; }  // of a group
  int64_t side_bytes() const { return side_planes() * kGroupRows * 2; }     // of a group

  // Offsets in bytes from the start of the slab's codes.
  int64_t codes(int64_t level, int64_t group) const { return (level * groups + group) * level_bytes(); }
  int64_t tails(int64_t level, int64_t group) const {  // level >= 1
    return levels() * groups * level_bytes() + ((level - 1) * groups + group) * kGroupRows;
  }
  int64_t sides(int64_t group) const {
    return levels() * groups * level_bytes() + (levels() - 1) * groups * kGroupRows + group * side_bytes();
  }
  int64_t bytes() const { return sides(groups); }

  // Bytes that a scan of one group reads when it is left after `seen` levels (at least 1), and of all of it.
  int64_t read_bytes(int64_t seen) const {
    return side_bytes() + seen * level_bytes() + (seen < levels() ? seen : levels() - 1) * kGroupRows;
  }
};

// |c| <= 127 sqrt(D), as u16.
inline float norm_unit(int64_t coded_dim) {
  return static_cast<float>(127 * std::sqrt(static_cast<double>(coded_dim)) / 65500);
}
// e / s <= sqrt(D) (1/2 + 127 (2D + 8) 2^-24) with the rounding of the rotation (docs/numerics.md), as u16
// below kAlwaysKeep.
inline float error_unit(int64_t coded_dim) {
  const auto d = static_cast<double>(coded_dim);
  return static_cast<float>(1.05 * std::sqrt(d) * (0.5 + 127 * (2 * d + 8) * 0x1p-24) / 65500);
}

}  // namespace nearfield
