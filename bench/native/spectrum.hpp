// SPDX-License-Identifier: Apache-2.0
// Distributions of synthetic rows. A row depends on distribution, seed, dimension and its number alone, with
// the same bits from every compiler: sums, products, square roots and divisions in a fixed order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "../../kernels-test/cases/random.hpp"

namespace nearfield::bench {

// A random orthogonal map: stages of plane rotations by random angles on random pairs of coordinates. D log D
// operations a row where a matrix takes D^2, which is minutes for a million rows.
class Rotation {
 public:
  static constexpr int kRows = 16;  // turned together, coordinate by coordinate: a vector register's lanes

  Rotation(int64_t dim, uint64_t seed);
  void apply(float (*rows)[kRows]) const;  // dim x kRows

 private:
  struct Plane {
    int32_t a, b;
    float cosine, sine;
  };
  std::vector<Plane> planes_;
};

class Spectrum {
 public:
  // Throws Refused where the name is not known.
  Spectrum(const std::string& name, int64_t dim, uint64_t seed);

  // Rows first .. first + count - 1, dim floats each.
  void fill(float* out, int64_t first, int64_t count) const;

 private:
  void draw(float* out, int64_t number) const;

  int64_t dim_;
  uint64_t seed_;
  int64_t clusters_ = 0;  // 0: independent coordinates
  float spread_ = 0;      // of a row about its centre, whose coordinates have a deviation of 1
  std::vector<float> centres_, deviations_;
  std::vector<Rotation> rotation_;  // none or one
};

}  // namespace nearfield::bench
