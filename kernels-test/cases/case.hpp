// SPDX-License-Identifier: Apache-2.0
// One case of the suite: which test, on what data. Its text names it, seeds its data and is what --case
// takes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nearfield::test {

enum class Data {
  GAUSS,       // normal; Poincare: random directions, radius up to 0.9
  CLUSTERED,   // ten tight clusters
  TIES,        // few small integers: most distances are equal and f32 is exact
  DUPLICATES,  // all rows equal
  OFFSET,      // normal, shifted by +1000 in every dimension
  BOUNDARY,    // Poincare: radius 1 - 1e-3 to 1 - 1e-5
  ZEROS,       // every third vector is zero
  HUGE_NORMS,  // norms just below the largest allowed
  TINY,        // so small that products underflow (cosine: just above the smallest norm allowed)
  SCALES,      // each vector at its own magnitude, 2^-20 to 2^20
  SUBNORMALS,  // subnormal elements among normal ones
  DIRECTED,    // near copies whose products, summed one by one, are rounded down at every step
  UNDERFLOW,   // the same among the smallest numbers, where a rounding is no part of the value but all of it
};

enum class Effort { SMOKE, QUICK, FULL };

struct Case {
  std::string test;
  int32_t metric = 0;
  int32_t dim = 0;
  int64_t rows = 0;
  int64_t k = 1;
  int64_t batch = 1;
  Data data = Data::GAUSS;
  bool padded = false;      // a stride larger than the dimension, NaN between the rows
  bool tiny_slabs = false;  // slabs of one group of 32 rows
  int64_t round = 0;        // tells repetitions with other seeds apart

  std::string name() const;
};

const char* metric_name(int32_t metric);
const char* data_name(Data data);
// Whether this kind of data exists for the metric: cosine refuses zero vectors, Poincare large ones.
bool fits(Data data, int32_t metric);

// The cases of every test, for all metrics.
std::vector<Case> all_cases(Effort effort);

// Those of "bits-hardware" (hardware.cpp): shapes at which a large GPU's constants divide the work.
void add_hardware_cases(Effort effort, std::vector<Case>* to);

}  // namespace nearfield::test
