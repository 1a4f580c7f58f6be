// SPDX-License-Identifier: Apache-2.0
// The certificate of the matrix form: no row whose canonical rank reaches the limit may be left out, whatever
// the order of the product's additions and whichever side takes subnormal numbers for zero; and on ordinary
// data most rows are.
#include "gpu/bounds.hpp"

#include <algorithm>
#include <bit>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "metric.hpp"

namespace nearfield::gpu {
namespace {

int passed = 0, failed = 0;
void check(bool ok, const std::string& what) {
  ok ? ++passed : ++failed;
  if (!ok && failed <= 20) std::printf("FAIL %s\n", what.c_str());
}

using Random = std::mt19937_64;
using Vector = std::vector<float>;

float flush(float x) { return std::fabs(x) < std::numeric_limits<float>::min() ? 0 : x; }
Vector flushed(Vector x) {
  for (float& e : x) e = flush(e);
  return x;
}

// docs/numerics.md: four sums by dimension mod 4, then (s0 + s2) + (s1 + s3).
float canonical_rank(int32_t metric, const Vector& q, const Vector& v, float side) {
  float sums[4] = {};
  for (size_t i = 0; i < q.size(); ++i) {
    float& sum = sums[i % 4];
    if (metric == NF_DOT) {
      sum = std::fma(q[i], v[i], sum);
      continue;
    }
    const float w = metric == NF_COSINE ? v[i] * side : v[i];
    const float d = q[i] - w;
    sum = std::fma(d, d, sum);
  }
  const float total = (sums[0] + sums[2]) + (sums[1] + sums[3]);
  return metric == NF_DOT ? -total : metric == NF_COSINE ? 0.5f * total : total;
}

// A product as some kernel might sum it: one chain, blocks of eight, pairwise; fused or not.
float product(const Vector& q, const Vector& v, int order) {
  const size_t n = q.size();
  std::vector<float> sums(order == 1 ? 8 : 1, 0.0f);
  if (order == 3) {
    std::vector<float> terms(n);
    for (size_t i = 0; i < n; ++i) terms[i] = q[i] * v[i];
    for (size_t width = 1; width < n; width *= 2)
      for (size_t i = 0; i + width < n; i += 2 * width) terms[i] += terms[i + width];
    return terms[0];
  }
  for (size_t i = 0; i < n; ++i) {
    float& sum = sums[i % sums.size()];
    if (order == 2) {
      const float term = q[i] * v[i];
      sum += term;
    } else {
      sum = std::fma(q[i], v[i], sum);
    }
  }
  float total = 0;
  for (const float sum : sums) total += sum;
  return total;
}

// As the kernels do (kernel_params.h: Bound).
bool kept(int32_t metric, const Bound& bound, float scale, float rank, float side, float p, bool flushes) {
  const auto f = [&](float x) { return flushes ? flush(x) : x; };
  const float c = f(std::fma(f(rank), scale, f(bound.base)));
  const float cut = f(c + f(std::fabs(c) * 0x1p-22f));
  const float value = metric == NF_COSINE ? -f(f(side) * f(p)) : f(f(f(bound.slope) * f(side)) - f(p));
  return value <= cut;
}

struct Data {
  const char* name;
  double offset, spread, scale;
  double query_scale;
};
constexpr Data kData[] = {{"normal", 0, 1, 1, 1},
                          {"far from the origin", 1000, 1, 1, 1},
                          {"tight", 1, 1e-4, 1, 1},
                          {"large", 0, 1, 0x1p50, 1},
                          {"small", 0, 1, 0x1p-55, 1},
                          {"products below the normal numbers", 0, 1, 0x1p-70, 1},
                          {"subnormal rows", 0, 1, 0x1p-128, 0x1p182},
                          {"subnormal queries", 0, 1, 0x1p54, 0x1p-182}};

void run(Random& random, int32_t metric, int32_t dim, const Data& data) {
  std::normal_distribution<double> normal;
  const auto draw = [&] {
    Vector x(static_cast<size_t>(dim));
    for (float& e : x) e = static_cast<float>((data.offset + data.spread * normal(random)) * data.scale);
    return x;
  };
  const bool subnormal = data.query_scale != 1;
  if (subnormal && metric == NF_COSINE) return;  // refused: norms below 2^-62
  Vector raw = draw(), q(raw.size());
  for (float& e : raw) e = static_cast<float>(e * data.query_scale);
  prepare_query(metric, raw.data(), dim, squared_norm(raw.data(), dim), q.data());
  const MatrixBounds bounds(metric, dim);
  const Bound bound = bounds.of(squared_norm(q.data(), dim));
  const int rows = 200;
  std::vector<float> ranks, flushed_ranks, sides;
  std::vector<Vector> vectors;
  for (int i = 0; i < rows; ++i) {
    vectors.push_back(i == 0 && !subnormal ? raw : draw());
    if (i % 5 == 4)  // near copies of an earlier row
      for (size_t j = 0; j < raw.size(); ++j)
        vectors.back()[j] = std::nextafter(vectors[static_cast<size_t>(i) - 1][j], 1e30f);
    sides.push_back(row_side(metric, squared_norm(vectors.back().data(), dim)));
    ranks.push_back(canonical_rank(metric, q, vectors.back(), sides.back()));
    flushed_ranks.push_back(
        flush(canonical_rank(metric, flushed(q), flushed(vectors.back()), flush(sides.back()))));
  }
  const std::string name =
      std::string(data.name) + ", metric " + std::to_string(metric) + ", dim " + std::to_string(dim);
  int excluded = 0;
  // Whether the product and its test, and whether the canonical form, take subnormal numbers for zero.
  for (const bool flush_product : {false, true})
    for (const bool flush_rank : {false, true}) {
      const std::vector<float>& canonical = flush_rank ? flushed_ranks : ranks;
      std::vector<float> sorted = canonical;
      std::sort(sorted.begin(), sorted.end());
      for (const int k : {0, 9, 99}) {
        const float limit = sorted[static_cast<size_t>(k)];
        for (size_t i = 0; i < canonical.size(); ++i)
          for (int order = 0; order < 4; ++order) {
            const float p = flush_product ? flush(product(flushed(q), flushed(vectors[i]), order))
                                          : product(q, vectors[i], order);
            const bool keep = kept(metric, bound, bounds.scale(), limit, sides[i], p, flush_product);
            if (canonical[i] <= limit)
              check(keep, name + ": row " + std::to_string(i) + " is lost, order " + std::to_string(order) +
                              ", flushed: " + (flush_product ? "product " : "") + (flush_rank ? "rank" : ""));
            else if (!flush_product && !flush_rank)
              excluded += keep ? 0 : 1;
          }
      }
    }
  // A bound that keeps everything would pass, too.
  if (data.offset == 0 && data.scale == 1 && dim >= 16)  // below, there are ties
    check(excluded > (1 * 199 + 190 + 100) * 4 * 9 / 10,
          name + ": only " + std::to_string(excluded) + " excluded");
}

}  // namespace
}  // namespace nearfield::gpu

int main(int argc, char** argv) {
  using namespace nearfield::gpu;
  const uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  std::printf("seed %" PRIu64 "; again with: %s %" PRIu64 "\n", seed, argv[0], seed);
  Random random(seed);
  // Ranks of dot have either sign: a scale that is rounded at all cuts one of them too low.
  check(MatrixBounds(NF_DOT, 768).scale() == 1, "dot: the scale of limits is 1");
  for (const int32_t metric : {NF_L2SQ, NF_COSINE, NF_DOT})
    for (const int32_t dim : {1, 3, 16, 100, 768, 4096})
      for (const Data& data : kData) run(random, metric, dim, data);
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
