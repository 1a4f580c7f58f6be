// SPDX-License-Identifier: Apache-2.0
// Principal axes of a sample: the linear algebra of fit.cpp, and the only place that knows Eigen.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "basis.hpp"

namespace nearfield {

// Rows of a sample, `dim` floats apart, of which those of `kept` count.
struct SampleRows {
  const float* data = nullptr;
  int32_t dim = 0;
  std::span<const int64_t> kept;
  const float* row(size_t i) const { return data + kept[i] * dim; }
};

// Whoever waits for the answer has given up. Asked between blocks of a few milliseconds, except within the
// eigenvalue solver.
using Stop = std::atomic<bool>;

// Axes of the sample about `mean`, an axis a row, that of largest variance first; dim x dim. Deterministic.
// False when stopped; empty where all rows are the same.
//
// Up to kExactDim dimensions all axes, of the covariance in f64. Above, the first kTopAxes by subspace
// iteration, and any that complete them, by as many reflectors: those are the `factors`, not yet measured.
// With 256 axes scans of 1,536 decaying dimensions read 18% instead of 20%, and rotating a row takes twice as
// long.
inline constexpr int32_t kExactDim = 1024;
inline constexpr int32_t kTopAxes = 128;
bool find_axes(const SampleRows& sample, const float* mean, uint64_t seed, const Stop& stop,
               std::vector<float>* axes, Factors* factors);

// |R'R - I|_F of an f32 R, rounded up. False when stopped.
bool measure_axes(const std::vector<float>& axes, int32_t dim, const Stop& stop, double* departure);

// Factors::rounding beside an R of that departure. False when stopped.
bool measure_factors(const std::vector<float>& axes, int32_t dim, double departure, const Stop& stop,
                     Factors* factors);

}  // namespace nearfield
