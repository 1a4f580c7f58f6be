// SPDX-License-Identifier: Apache-2.0
// The certificate of products of TF32 (gpu/tf32_bounds.hpp), with the kernels' own arithmetic: a canonical
// rank is between the bounds of its pair, and no row goes whose rank is within the limit, whatever the data
// and however the unit sums and flushes; on ordinary data most rows go; and each term that is left out loses
// rows.
#include "gpu/tf32_bounds.hpp"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "../cuda_dialect.hpp"
#include "metric.hpp"
#include "product_bounds.cuh"
#include "residual.cuh"

namespace nearfield {
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

// What is left out of the bound.
enum class Weakness { kNone, kRowError, kQueryError, kProduct, kUnitVector, kRoom };

// The unit's product, dimensions in their order or as matrix_tf32 hands them over: of four chunks the first
// elements, then the second ones. In the unit, or exact.
enum class Order { kPlain, kKernel, kExact };

float product(const Vector& q, const Vector& v, Order order) {
  const size_t n = q.size();
  if (order == Order::kExact) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += static_cast<double>(q[i]) * static_cast<double>(v[i]);
    return static_cast<float>(sum);
  }
  float d[4] = {};
  for (size_t begin = 0; begin < n; begin += simt::kTf32Depth * 2) {
    for (size_t half = 0; half < 2; ++half) {
      simt::Tf32Corner rows = {}, columns = {};
      for (size_t k = 0; k < simt::kTf32Depth; ++k) {
        const size_t i =
            begin + (order == Order::kPlain ? half * simt::kTf32Depth + k : k % 4 * 4 + half * 2 + k / 4);
        if (i < n) rows[0][k] = v[i], columns[0][k] = q[i];
      }
      simt::add_tf32(rows, columns, d);
    }
  }
  return d[0];
}

struct Operand {
  Vector seen;  // by the unit
  Tf32Values values;
};

Operand operand_of(int32_t metric, const Vector& x, bool is_query, float side, Weakness weakness) {
  ResidualParams p{};
  p.is_query = is_query;
  gpu::Tf32Bounds(metric, static_cast<int32_t>(x.size())).set_scales(is_query, &p);
  if (weakness == Weakness::kUnitVector) p.norm_scale = 0;
  if (weakness == Weakness::kRoom) p.error_room = 0;
  cuda::ResidualSums sums;
  Operand operand;
  for (size_t i = 0; i < x.size(); i += 4) {
    float4 chunk{};
    float* const elements[4] = {&chunk.x, &chunk.y, &chunk.z, &chunk.w};
    for (size_t j = 0; j < 4 && i + j < x.size(); ++j) *elements[j] = x[i + j];
    chunk = sums.add(p, chunk, metric == NF_COSINE && !is_query ? side : 1.0f);
    for (size_t j = 0; j < 4 && i + j < x.size(); ++j) operand.seen.push_back(*elements[j]);
  }
  operand.values = sums.values(p);
  if (weakness == (is_query ? Weakness::kQueryError : Weakness::kRowError)) operand.values.error = 0;
  return operand;
}

// Whether the error is one of w, the row that the canonical form measures, and the norm within the roundings
// that Tf32Bounds counts. The bounds of pairs have so much to spare beside a cosine's rounding that no pair
// shows it.
bool is_bounded(int32_t metric, const Vector& x, float scale, const Operand& operand) {
  double error = 0, squared = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double w = static_cast<double>(metric == NF_COSINE ? x[i] * scale : x[i]);
    const double seen = static_cast<double>(operand.seen[i]) * static_cast<double>(scale);
    error += (w - seen) * (w - seen);
    squared += seen * seen;
  }
  const auto chunks = static_cast<double>(padded_dim(static_cast<int64_t>(x.size())) / 4);
  const double norm = static_cast<double>(operand.values.norm), dims = 4 * chunks;
  return static_cast<double>(operand.values.error) >= std::sqrt(error) &&
         std::fabs(norm * norm - squared) <= (chunks + 6) * 0x1p-24 * squared + dims * 0x1p-126;
}

CodedProductParams params_of(int32_t metric, int32_t dim, Weakness weakness) {
  CodeBound::PairTerms terms = gpu::Tf32Bounds(metric, dim).pair_terms();
  const auto chunks = static_cast<float>(padded_dim(dim) / 4);
  if (weakness == Weakness::kProduct) {
    terms.shrink = 1 - (chunks + 30) * 0x1p-24f;
    terms.grow = 1 + (chunks + 30) * 0x1p-24f;
    terms.slack = (chunks + 20) * 0x1p-24f;
  }
  CodedProductParams p{};
  p.shrink = terms.shrink, p.grow = terms.grow, p.slope = terms.slope, p.addend = terms.addend;
  p.lower = terms.lower, p.upper = terms.upper, p.tiny = terms.tiny;
  p.stretch = terms.stretch, p.slack = terms.slack, p.norm_up = terms.norm_up;
  return p;
}

template <int METRIC>
bool stays(const CodedProductParams& p, const cuda::Coded& row, const cuda::Coded& query,
           const ProductQuery& terms, float limit, float product) {
  const cuda::PairTest test = cuda::pair_test<METRIC>(p, query, terms, cuda::rank_key(limit));
  return cuda::may_stay<METRIC>(test, product * row.scale, row.error, cuda::row_term<METRIC>(p, row), 0);
}

struct Data {
  const char* name;
  double offset, spread, scale;
  double query_scale;
  bool is_coarse;  // 11 bits a number: a unit sees all of it
};
constexpr Data kData[] = {{"normal", 0, 1, 1, 1, false},
                          {"eleven bits", 0, 1, 1, 1, true},
                          {"far from the origin", 1000, 1, 1, 1, false},
                          {"positive and near", 1, 1e-4, 1, 1, false},
                          {"positive, near, eleven bits", 1, 1e-2, 1, 1, true},
                          {"large", 0, 1, 0x1p50, 1, false},
                          {"small", 0, 1, 0x1p-55, 1, false},
                          {"products below the normal numbers", 0, 1, 0x1p-70, 1, false},
                          {"subnormal rows", 0, 1, 0x1p-128, 0x1p182, false},
                          {"subnormal queries", 0, 1, 0x1p54, 0x1p-182, false}};

struct Count {
  int pairs = 0, lost = 0;  // and rows
};

template <int METRIC>
void run(Random& random, int32_t dim, const Data& data, Weakness weakness, Count* count) {
  std::normal_distribution<double> normal;
  const auto draw = [&] {
    Vector x(static_cast<size_t>(dim));
    for (float& e : x) {
      e = static_cast<float>((data.offset + data.spread * normal(random)) * data.scale);
      if (data.is_coarse) e = __uint_as_float(cuda::cvt_rna_tf32(e));
    }
    return x;
  };
  const bool subnormal = data.query_scale != 1;
  if (METRIC == NF_COSINE && (subnormal || std::sqrt(dim) * data.scale < 0x1p-62)) return;  // refused
  Vector raw = draw(), q(raw.size());
  for (float& e : raw) e = static_cast<float>(e * data.query_scale);
  const double squared = squared_norm(raw.data(), dim);
  if (METRIC == NF_COSINE && squared < kMinCosineNorm * kMinCosineNorm) return;
  prepare_query(METRIC, raw.data(), dim, squared, q.data());
  const CodedProductParams p = params_of(METRIC, dim, weakness);
  ProductQuery terms{};
  terms.norm =
      std::nextafter(static_cast<float>(std::sqrt(squared_norm(q.data(), dim)) * (1 + 0x1p-20)), 1e38f);
  terms.addend = gpu::Tf32Bounds(METRIC, dim).pair_addend();
  const Operand query = operand_of(METRIC, q, true, 1, weakness);
  const auto bounded = [&](const Vector& x, float scale, const Operand& operand, bool is_query) {
    const bool holds = is_bounded(is_query ? NF_L2SQ : METRIC, x, scale, operand);
    ++count->pairs;
    count->lost += holds ? 0 : 1;
    if (weakness == Weakness::kNone) check(holds, std::string(data.name) + ": error or norm");
  };
  bounded(q, 1, query, true);
  const cuda::Coded coded_query{1, query.values.norm, query.values.error, false};

  const int rows = 120;
  std::vector<float> ranks, flushed_ranks, sides;
  std::vector<Operand> operands;
  Vector before;
  for (int i = 0; i < rows; ++i) {
    Vector v = i == 0 && !subnormal ? raw : draw();
    if (i % 5 == 4) {  // a near copy of the row before
      v = before;
      if (!data.is_coarse)
        for (float& e : v) e = std::nextafter(e, 1e30f);
    }
    before = v;
    const double length = squared_norm(v.data(), dim);
    if (METRIC == NF_COSINE && length < kMinCosineNorm * kMinCosineNorm) continue;
    sides.push_back(METRIC == NF_COSINE ? row_side(METRIC, length) : 1.0f);
    operands.push_back(operand_of(METRIC, v, false, sides.back(), weakness));
    bounded(v, sides.back(), operands.back(), false);
    ranks.push_back(canonical_rank(METRIC, q, v, sides.back()));
    flushed_ranks.push_back(flush(canonical_rank(METRIC, flushed(q), flushed(v), sides.back())));
  }
  const std::string name =
      std::string(data.name) + ", metric " + std::to_string(METRIC) + ", dim " + std::to_string(dim);
  int excluded = 0, seen = 0;
  for (const bool flush_product : {false, true})
    for (const bool flush_rank : {false, true}) {
      const std::vector<float>& canonical = flush_rank ? flushed_ranks : ranks;
      std::vector<float> sorted = canonical;
      std::sort(sorted.begin(), sorted.end());
      for (size_t i = 0; i < canonical.size(); ++i)
        for (const Order order : {Order::kPlain, Order::kKernel, Order::kExact}) {
          const Vector &a = query.seen, &b = operands[i].seen;
          const float product = flush_product ? flush(nearfield::product(flushed(a), flushed(b), order))
                                              : nearfield::product(a, b, order);
          const cuda::Coded row{sides[i], operands[i].values.norm, operands[i].values.error, false};
          const cuda::RankBounds bounds = cuda::rank_bounds<METRIC>(p, row, 0, coded_query, terms, product);
          bool holds = bounds.lower <= canonical[i] && canonical[i] <= bounds.upper;
          for (const size_t k : {size_t{0}, size_t{9}, size_t{60}}) {
            if (k >= sorted.size()) continue;
            const bool stays = nearfield::stays<METRIC>(p, row, coded_query, terms, sorted[k], product);
            if (canonical[i] <= sorted[k]) holds = holds && stays;
            if (canonical[i] > sorted[k]) ++seen, excluded += stays ? 0 : 1;
          }
          ++count->pairs;
          count->lost += holds ? 0 : 1;
          if (weakness == Weakness::kNone)
            check(holds, name + ": row " + std::to_string(i) + ", order " +
                             std::to_string(static_cast<int>(order)) +
                             ", flushed: " + (flush_product ? "product " : "") + (flush_rank ? "rank" : ""));
        }
    }
  // A bound that keeps everything would pass, too.
  if (weakness == Weakness::kNone && data.offset == 0 && data.scale == 1 && dim >= 16)
    check(excluded > seen * 9 / 10,
          name + ": only " + std::to_string(excluded) + " of " + std::to_string(seen) + " excluded");
}

Count run_all(Random& random, Weakness weakness) {
  Count count;
  for (const int32_t dim : {1, 3, 16, 100, 768, 4096})
    for (const Data& data : kData) {
      run<NF_L2SQ>(random, dim, data, weakness, &count);
      run<NF_COSINE>(random, dim, data, weakness, &count);
      run<NF_DOT>(random, dim, data, weakness, &count);
    }
  return count;
}

}  // namespace
}  // namespace nearfield

int main(int argc, char** argv) {
  using namespace nearfield;
  const uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  std::printf("seed %" PRIu64 "; again with: %s %" PRIu64 "\n", seed, argv[0], seed);
  Random random(seed);
  run_all(random, Weakness::kNone);
  const struct {
    Weakness weakness;
    const char* name;
  } weaknesses[] = {{Weakness::kRowError, "no residual of the row"},
                    {Weakness::kQueryError, "no residual of the query"},
                    {Weakness::kProduct, "sums that lose nothing"},
                    {Weakness::kUnitVector, "rows of cosine that are not rounded"},
                    {Weakness::kRoom, "squares that do not underflow"}};
  for (const auto& [weakness, name] : weaknesses) {
    const Count count = run_all(random, weakness);
    std::printf("%s: %d of %d pairs and rows lost\n", name, count.lost, count.pairs);
    check(count.lost > 0, std::string(name) + ": nothing was lost");
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
