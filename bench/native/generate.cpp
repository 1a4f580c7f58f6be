// SPDX-License-Identifier: Apache-2.0
// Files of synthetic vectors.
#include <algorithm>
#include <cmath>
#include <vector>

#include "commands.hpp"
#include "fbin.hpp"
#include "nearfield/nearfield.h"
#include "parallel.hpp"
#include "spectrum.hpp"

namespace nearfield::bench {
namespace {

constexpr int64_t kBlockRows = 16384;

// Inside the ball, where embeddings of trees live: hyperbolic distances from the centre uniform up to 6,
// which is a norm of 0.995. The direction is the row's own.
void into_ball(float* row, int64_t dim, uint64_t seed, int64_t number) {
  constexpr uint64_t kLengths = 0xbb67ae8584caa73bu;  // a stream of numbers beside the coordinates'
  test::Random random(seed ^ kLengths ^ (0x9e3779b97f4a7c15u * static_cast<uint64_t>(number + 1)));
  double square = 0;
  for (int64_t i = 0; i < dim; ++i) square += static_cast<double>(row[i]) * row[i];
  const double scale = std::tanh(random.uniform(0, 6) / 2) / std::sqrt(std::max(square, 1e-30));
  for (int64_t i = 0; i < dim; ++i) row[i] = static_cast<float>(row[i] * scale);
}

}  // namespace

Reply generate(const Command& command) {
  const int64_t rows = command.integer("rows"), dim = command.integer("dim");
  const int64_t first = command.integer("first", 0);
  const int32_t metric = metric_number(command.text("metric"));
  const auto seed = static_cast<uint64_t>(command.integer("seed"));
  if (rows < 1 || rows > UINT32_MAX || dim < 1 || dim > UINT32_MAX)
    throw Refused(format("generate: rows=%lld x dim=%lld, each must be from 1 to 4294967295",
                         static_cast<long long>(rows), static_cast<long long>(dim)));
  const Spectrum spectrum(command.text("spectrum", "isotropic"), dim, seed);
  Output out(command.text("to"));
  const uint32_t header[2] = {static_cast<uint32_t>(rows), static_cast<uint32_t>(dim)};
  out.write(header, sizeof(header));
  std::vector<float> block(static_cast<size_t>(std::min(rows, kBlockRows) * dim));
  for (int64_t from = 0; from < rows; from += kBlockRows) {
    const int64_t count = std::min(kBlockRows, rows - from);
    parallel(usable_threads(), [&](int t, int threads) {
      const Share mine = share(count, t, threads);
      if (mine.from == mine.to) return;
      float* own = block.data() + mine.from * dim;
      spectrum.fill(own, first + from + mine.from, mine.to - mine.from);
      if (metric != NF_POINCARE) return;
      for (int64_t i = mine.from; i < mine.to; ++i)
        into_ball(block.data() + i * dim, dim, seed, first + from + i);
    });
    out.write(block.data(), static_cast<size_t>(count * dim) * sizeof(float));
  }
  out.close();
  return Reply().set("rows", rows).set("dim", dim);
}

}  // namespace nearfield::bench
