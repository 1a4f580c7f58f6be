// SPDX-License-Identifier: Apache-2.0
// The oracle against values worked out by hand, and its bounds against a plain f32 evaluation of the
// canonical form written here a second time.
#include "oracle.hpp"

#include <cmath>
#include <cstdio>
#include <vector>

namespace {

using nearfield::oracle::Distance;
using nearfield::oracle::distance;
using nearfield::oracle::prepare;

int passed = 0;
int failed = 0;

void expect(bool condition, const char* what, double actual, double wanted) {
  if (condition) {
    ++passed;
    return;
  }
  ++failed;
  std::printf("FAIL %s: %.17g, expected %.17g\n", what, actual, wanted);
}

Distance of(int32_t metric, const std::vector<float>& q, const std::vector<float>& v) {
  const auto dim = static_cast<int64_t>(q.size());
  return distance(metric, prepare(q.data(), dim), prepare(v.data(), dim));
}

void value(const char* what, int32_t metric, const std::vector<float>& q, const std::vector<float>& v,
           double wanted) {
  const double actual = of(metric, q, v).value;
  expect(std::fabs(actual - wanted) <= 1e-14 * std::fabs(wanted), what, actual, wanted);
}

void by_hand() {
  value("l2 of 3-4-5", NF_L2SQ, {1, 2}, {4, 6}, 25);
  value("manhattan of 3 and 4", NF_MANHATTAN, {1, 2}, {4, 6}, 7);
  value("dot", NF_DOT, {1, 2, 3}, {4, -5, 6}, -12);
  value("dot of zero", NF_DOT, {0, 0}, {1, 2}, 0);
  value("cosine of a right angle", NF_COSINE, {2, 0}, {0, 5}, 1);
  value("cosine of opposite vectors", NF_COSINE, {3, 4}, {-6, -8}, 2);
  value("cosine of parallel vectors", NF_COSINE, {3, 4}, {6, 8}, 0);
  value("cosine of 60 degrees", NF_COSINE, {1, 0}, {1, std::sqrt(3.0f)},
        1 - 1 / std::sqrt(1 + static_cast<double>(std::sqrt(3.0f)) * std::sqrt(3.0f)));
  // From the centre: d = 2 artanh(|v|); |v| = 1/2 gives ln 3. Along a ray: the difference of two such.
  value("poincare from the centre", NF_POINCARE, {0, 0}, {0.5, 0}, std::log(3.0));
  value("poincare along a ray", NF_POINCARE, {0.5, 0}, {0.75, 0}, 2 * std::atanh(0.75) - 2 * std::atanh(0.5));
  value("poincare through the centre", NF_POINCARE, {0.5, 0}, {-0.5, 0}, 2 * std::log(3.0));
  value("poincare of itself", NF_POINCARE, {0.25, 0.5}, {0.25, 0.5}, 0);
  // 1 - x^2 with x = 1 - 2^-20 is 2^-19 - 2^-40 exactly.
  const std::vector<float> edge = {1 - 0x1p-20f};
  expect(prepare(edge.data(), 1).gap == 0x1p-19 - 0x1p-40, "gap near the boundary",
         prepare(edge.data(), 1).gap, 0x1p-19 - 0x1p-40);
  value("poincare of two points near the boundary", NF_POINCARE, edge, {0}, 2 * std::atanh(1 - 0x1p-20));
  const std::vector<float> zero = {0};
  expect(!std::signbit(of(NF_DOT, zero, zero).value), "dot of zeros is +0", -0.0, 0.0);
}

void exactness() {
  expect(of(NF_L2SQ, {1, 2, 3}, {-4, 5, 6}).bound == 0, "l2 of small integers is exact", 1, 0);
  expect(of(NF_DOT, {1, 2, 3}, {-4, 5, 6}).bound == 0, "dot of small integers is exact", 1, 0);
  expect(of(NF_MANHATTAN, {1, 2}, {3, -4}).bound == 0, "manhattan of small integers is exact", 1, 0);
  expect(of(NF_L2SQ, {5000, 1}, {0, 0}).bound > 0, "l2 above 2^24 is rounded", 0, 1);
  expect(of(NF_L2SQ, {0.5}, {0}).bound > 0, "l2 of fractions is rounded", 0, 1);
  expect(of(NF_COSINE, {1, 2}, {2, 1}).bound > 0, "cosine is rounded", 0, 1);
}

float canonical(int32_t metric, const std::vector<float>& q, const std::vector<float>& v) {
  float sums[4] = {0, 0, 0, 0};
  const auto dim = static_cast<int64_t>(q.size());
  const auto scale = [&](const std::vector<float>& x) {
    return static_cast<float>(1 / prepare(x.data(), dim).norm);
  };
  const float q_scale = metric == NF_COSINE ? scale(q) : 1;
  const float v_scale = metric == NF_COSINE ? scale(v) : 1;
  for (size_t i = 0; i < q.size(); ++i) {
    float& sum = sums[i % 4];
    const float a = q[i] * q_scale;
    const float b = v[i] * v_scale;
    if (metric == NF_DOT) {
      sum = std::fma(a, b, sum);
    } else if (metric == NF_MANHATTAN) {
      sum += std::fabs(a - b);
    } else {
      sum = std::fma(a - b, a - b, sum);
    }
  }
  const float sum = (sums[0] + sums[2]) + (sums[1] + sums[3]);
  if (metric == NF_COSINE) return 0.5f * sum;
  if (metric == NF_DOT) return 0 - sum;
  if (metric != NF_POINCARE) return sum;
  const float alpha = static_cast<float>(1 / prepare(v.data(), dim).gap);
  const double r = sum * alpha;
  return static_cast<float>(2 * std::asinh(std::sqrt(r / prepare(q.data(), dim).gap)));
}

// A fixed linear congruential sequence (Knuth's MMIX constants) in [-1, 1).
float next(uint64_t& state) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return static_cast<float>(static_cast<double>(state >> 40) * 0x1p-23 - 1);
}

// The bound must hold, and must not be so wide that it would hold for a wrong answer: leaving out one of the
// D dimensions changes a distance by about 1/D of itself, and the bound has to be below that.
void bounds() {
  uint64_t state = 1;
  for (const int dim : {1, 3, 7, 33, 127, 768, 4096}) {
    for (int32_t metric = NF_L2SQ; metric <= NF_MANHATTAN; ++metric) {
      double worst = 0;
      double widest = 0;
      for (int round = 0; round < 20; ++round) {
        std::vector<float> q(static_cast<size_t>(dim));
        std::vector<float> v(static_cast<size_t>(dim));
        const float size = metric == NF_POINCARE ? 0.9f / std::sqrt(static_cast<float>(dim)) : 1;
        for (float& x : q) x = next(state) * size;
        for (float& x : v) x = next(state) * size;
        const Distance truth = of(metric, q, v);
        worst = std::max(worst, std::fabs(canonical(metric, q, v) - truth.value) / truth.bound);
        widest = std::max(widest, truth.bound);
      }
      char what[96];
      std::snprintf(what, sizeof(what), "metric %d, dim %d: error over bound", metric, dim);
      expect(worst <= 1, what, worst, 1);
      // One dimension's share: sizes of a sum of D terms of magnitude about 1/2 (cosine and Poincare: of
      // about 1 in all).
      const double share = metric == NF_COSINE || metric == NF_POINCARE ? 1.0 / dim : 0.5;
      std::snprintf(what, sizeof(what), "metric %d, dim %d: bound over one dimension's share", metric, dim);
      expect(widest < share, what, widest / share, 1);
    }
  }
}

}  // namespace

int main() {
  by_hand();
  exactness();
  bounds();
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
