// SPDX-License-Identifier: Apache-2.0
// The bounds of a pair of a row and a query, both coded like rows, against canonical ranks: a rank is never
// outside of them, and no row goes whose rank is within the limit, whatever the data, the basis, the coder
// and the order of a kernel's roundings. Planted weaknesses, one in each term, must lose rows.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "bound_data.hpp"
#include "check.hpp"
#include "metric.hpp"
#include "pair_trial.hpp"

namespace nearfield {
namespace {

using namespace test;
constexpr double u = 0x1p-24;
constexpr int32_t kMetrics[] = {NF_L2SQ, NF_COSINE, NF_DOT, NF_POINCARE};

// ---- data ----

float flush(float x, Rounding rounding) {
  return rounding == Rounding::kFlushed && std::fabs(x) < std::numeric_limits<float>::min() ? 0.0f : x;
}
// The canonical form of a device: fused, with each operation rounded, or with subnormal numbers taken for 0.
float device_rank(int32_t metric, const Vector& q, const Vector& w, float alpha, Rounding rounding) {
  if (rounding == Rounding::kFused) return canonical_rank(metric, q, w, alpha);
  const auto f = [rounding](float x) { return flush(x, rounding); };
  float sums[4] = {};
  for (size_t i = 0; i < q.size(); ++i) {
    const float a = f(q[i]), b = f(w[i]), d = f(a - b);
    sums[i % 4] = f(sums[i % 4] + (metric == NF_DOT ? f(a * b) : f(d * d)));
  }
  const float total = f(f(sums[0] + sums[2]) + f(sums[1] + sums[3]));
  if (metric == NF_DOT) return -total + 0.0f;
  return f(metric == NF_COSINE ? 0.5f * total : metric == NF_POINCARE ? total * alpha : total);
}

struct Coded {
  Vector vector;
  float alpha = 0, beta = 1;
  std::vector<int32_t> codes;
  Sides sides;
};

Coder coder_of(Generator& random) { return random() % 2 == 0 ? Coder::kExact : Coder::kDevice; }

Coded coded_of(const Basis& basis, int32_t metric, Vector vector, bool is_query, float alpha, Coder coder) {
  Basis own = basis;
  const bool moved = !(is_query && metric == NF_DOT);
  if (!moved) own.mean.clear();
  Vector y(vector.size());
  rotate_query(own, NF_L2SQ, vector.data(), y.data());
  const CodedRow row = code_row(own, metric, vector.data(), y.data(), alpha);
  double squares = 0;
  for (const int32_t code : row.codes) squares += static_cast<double>(code) * code;
  const auto dims = static_cast<int64_t>(row.codes.size());
  // Its error is a whole number of units, but for an f32's roundings.
  const double error = static_cast<double>(row.error) / static_cast<double>(row.scale) * (1 - 0x1p-20);
  Coded coded{std::move(vector), alpha, row.beta, row.codes,
              sides_of(std::sqrt(squares), error, row.scale, dims, coder)};
  coded.sides.keep = coded.sides.keep || row.keep;
  if (metric == NF_POINCARE && coder == Coder::kDevice)
    coded.beta = static_cast<float>(std::ceil(1 / std::sqrt(static_cast<double>(alpha)) * (1 + 0x1p-18) /
                                              static_cast<double>(kBetaUnit))) *
                 kBetaUnit;
  return coded;
}

// Every query meets every row.
void search(Generator& random, int32_t dim, int data, Kind kind, int32_t metric, Weakness weakness,
            Count* count) {
  constexpr int64_t kRows = 30, kQueries = 12;
  std::string name;
  const Vector all = data_of(random, data, dim, kRows + kQueries, &name);
  std::vector<Vector> vectors;
  Vector flat;
  // Of another magnitude than the rows: queries of the least scale, and such that rows are nothing beside.
  const bool other_queries = (metric == NF_L2SQ || metric == NF_DOT) && random() % 4 == 0;
  const float factor = std::array<float, 4>{0x1p-140f, 0x1p-104f, 0x1p-30f, 0x1p40f}[random() % 4];
  for (int64_t i = 0; i < kRows + kQueries; ++i) {
    Vector vector(all.begin() + i * dim, all.begin() + (i + 1) * dim);
    if (metric == NF_POINCARE && data != 11) {
      const double norm = std::sqrt(squared_norm(vector.data(), dim));
      const double wanted = i % 3 == 0 ? 1 - 2e-5 : norm / (1 + norm);
      if (norm > 0)
        for (float& value : vector) value = static_cast<float>(static_cast<double>(value) / norm * wanted);
    }
    if (!fit_for(metric, &vector)) continue;
    flat.insert(flat.end(), vector.begin(), vector.end());
    vectors.push_back(std::move(vector));
  }
  if (vectors.size() < 4) return;
  const Basis basis = basis_of(random, kind, dim, flat);
  const Terms terms(metric, basis, weakness);
  const size_t rows = vectors.size() * 2 / 3;
  std::vector<Coded> coded;
  for (size_t i = 0; i < rows; ++i) {
    Vector w = vectors[i];
    const float side = row_side(metric, squared_norm(w.data(), dim));
    if (metric == NF_COSINE)
      for (float& value : w) value *= side;
    coded.push_back(coded_of(basis, metric, std::move(w), false, side, coder_of(random)));
  }
  Count here;
  for (size_t q = 0; q < vectors.size(); ++q) {
    if (q < rows && q % 4 != 0) continue;  // some rows are queries too
    Vector prepared = vectors[q];
    if (other_queries && std::sqrt(squared_norm(prepared.data(), dim)) * static_cast<double>(factor) < 0x1p60)
      for (float& value : prepared) value *= factor;
    prepare_query(metric, prepared.data(), dim, squared_norm(prepared.data(), dim), prepared.data());
    const Coded query = coded_of(basis, metric, prepared, true, 1, coder_of(random));
    CodedPair pair;
    pair.query = query.sides;
    if (metric == NF_DOT) {
      double offset = 0;
      for (size_t i = 0; i < basis.mean.size(); ++i)
        offset += static_cast<double>(prepared[i]) * static_cast<double>(basis.mean[i]);
      const double norm = std::sqrt(squared_norm(prepared.data(), dim)) * (1 + 0x1p-20);
      pair.terms = {not_below(norm), static_cast<float>(offset), terms.bound.pair_addend(norm, offset), 0};
    }
    for (const Coded& row : coded) {
      const Rounding rounding = rounding_of(random);
      pair.row = row.sides;
      pair.beta = row.beta;
      pair.dot = 0;
      for (size_t i = 0; i < row.codes.size(); ++i) pair.dot += row.codes[i] * query.codes[i];
      const float rank = device_rank(metric, prepared, row.vector, row.alpha, rounding);
      ++here.pairs;
      judge(metric, terms, weakness, pair, rounding, rank, rank, &here);
      const Coded& other = coded[static_cast<size_t>(below(random, static_cast<int64_t>(rows)))];
      const float limit = device_rank(metric, prepared, other.vector, other.alpha, rounding);
      const PairModel model(metric, terms.params, rounding);
      here.below += model.bounds(pair.row, pair.beta, pair.query, pair.terms, pair.dot).upper < limit;
      if (model.stays(pair.row, pair.beta, pair.query, pair.terms, pair.dot, limit)) continue;
      ++here.left_out;
      if (rank <= limit && here.wrong++ == 0) here.first = "left out by another's limit";
    }
  }
  if (here.wrong != 0 && count->wrong == 0)
    count->first = name + ", " + std::to_string(dim) + " dimensions, " + kKinds[static_cast<size_t>(kind)] +
                   ", " + here.first;
  count->pairs += here.pairs;
  count->left_out += here.left_out;
  count->below += here.below;
  count->wrong += here.wrong;
}

Count search_all(uint64_t seed, Weakness weakness, int64_t pairs) {
  Generator random(seed);
  Count count;
  const auto done = [&] { return count.pairs >= pairs || (weakness != Weakness::kNone && count.wrong > 0); };
  for (int round = 0; !done(); ++round)
    for (const int32_t dim : {1, 3, 8, 17, 40, 64, 130})
      for (int data = 0; data < kDataSets && !done(); ++data)
        for (const int32_t metric : kMetrics)
          search(random, dim, data, static_cast<Kind>(random() % kKinds.size()), metric, weakness, &count);
  return count;
}

void test_data(uint64_t seed) {
  const Count count = search_all(seed, Weakness::kNone, 1'000'000);
  check(count.wrong == 0, "ranks outside of their bounds, or rows within the limit left out",
        std::to_string(count.wrong) + ", first: " + count.first);
  check(count.pairs >= 1'000'000 && count.left_out > count.pairs / 20 && count.below > count.pairs / 20,
        "bounds tell rows apart",
        std::to_string(count.left_out) + " left out and " + std::to_string(count.below) + " below of " +
            std::to_string(count.pairs));
  std::printf("%lld pairs, %lld left out, %lld surely below another's rank\n",
              static_cast<long long>(count.pairs), static_cast<long long>(count.left_out),
              static_cast<long long>(count.below));
  for (size_t i = 1; i < kWeaknesses.size(); ++i) {
    const auto weakness = static_cast<Weakness>(i);
    if (!shows_in_data(weakness)) continue;
    const Count found = search_all(seed + 1, weakness, 3'000'000);
    check(found.wrong > 0, std::string("without ") + kWeaknesses[i] + " no row is lost");
  }
}

// ---- worst cases, which no data has: every error at its bound and in the worst direction ----

// Codes that a coder may leave, of a scale that it may choose.
struct Vectors {
  std::vector<int32_t> query, row;
  float query_scale = 0, row_scale = 0;
};
// Changes a code, not the first, so that the norm, in units, is just above a whole number.
void tune(Generator& random, std::vector<int32_t>* codes, double unit) {
  double squares = 0, least = 1;
  for (const int32_t code : *codes) squares += static_cast<double>(code) * code;
  if (codes->size() == 1) return;
  const int64_t at = 1 + below(random, static_cast<int64_t>(codes->size()) - 1);
  int32_t& code = (*codes)[static_cast<size_t>(at)];
  squares -= static_cast<double>(code) * code;
  for (int32_t value = 0; value <= 127; ++value) {
    const double units = std::sqrt(squares + static_cast<double>(value) * value) / unit;
    if (units - std::floor(units) >= least) continue;
    least = units - std::floor(units);
    code = value;
  }
}

Vectors vectors_of(Generator& random, int32_t dim, bool is_dot, double unit) {
  const auto size = static_cast<size_t>(dim);
  Vectors v{std::vector<int32_t>(size), std::vector<int32_t>(size)};
  // Bf16 of any magnitude: squares among the smallest numbers, of the usual size, near the longest.
  const auto scale = [&](int exponent) {
    return std::max(std::ldexp(static_cast<float>(128 + random() % 128), exponent - 7), kLeastScale);
  };
  const int exponent = std::array<int, 6>{0, -7, -66, -74, 50, -100}[random() % 6];
  v.query_scale = scale(exponent);
  v.row_scale = random() % 2 == 0 ? v.query_scale : scale(exponent);
  // A row of one axis has the norm 126 or 127, of which a unit is most.
  const bool single = random() % 8 == 0;
  for (size_t i = 0; i < size; ++i) v.query[i] = static_cast<int32_t>(below(random, 255) - 127);
  if (single) std::fill(v.query.begin() + 1, v.query.end(), 0);
  v.query[0] = random() % 2 == 0 ? 126 : 127;
  switch (random() % 4) {
    case 0:  // opposite
      for (size_t i = 0; i < size; ++i) v.row[i] = -v.query[i];
      break;
    case 1:
      for (size_t i = 0; i < size; ++i) v.row[i] = static_cast<int32_t>(below(random, 255) - 127);
      v.row[0] = -126;
      break;
    default: {  // duplicates and neighbours, by which little is left of large norms
      if (random() % 2 == 0) tune(random, &v.query, unit);
      v.row = v.query;
      v.row_scale = v.query_scale;
      if (random() % 2 == 0) break;
      for (int64_t i = below(random, 40); i > 0; --i) {
        int32_t& code = v.row[static_cast<size_t>(below(random, dim))];
        code += code > 0 ? -1 : 1;
      }
      v.row[0] = 126;
    }
  }
  // Of the least scale a largest code may be anything: a row of dot, a query of all.
  if (is_dot && random() % 4 == 0) {
    v.row_scale = kLeastScale;
    for (int32_t& code : v.row) code = static_cast<int32_t>(below(random, 3) - 1);
  }
  if (random() % 8 == 0) {
    v.query_scale = kLeastScale;
    for (int32_t& code : v.query) code = static_cast<int32_t>(below(random, 3) - 1);
  }
  return v;
}

// What a device loses of a sum of squares that it flushes: each square, each addition, and the last steps.
double flushed_of(int32_t metric, int32_t dim, Rounding rounding) {
  return rounding != Rounding::kFlushed ? 0 : (2.0 * dim + 4) * (metric == NF_COSINE ? 0x1p-64 : 0x1p-126);
}

bool survives(Generator& random, int32_t dim, int32_t metric, Weakness weakness, Count* count) {
  const auto part = [&] {
    return std::array<double, 5>{0, 1e-5, 1e-3, 0.02, 0.3}[random() % 5] * std::fabs(uniform(random));
  };
  Basis basis;
  basis.dim = dim;
  basis.level_dims = 8;
  basis.departure = std::array<double, 5>{0, 0, 1e-6, 1e-3, 0.3}[random() % 5];
  // A mean of one axis: of dot its product with the query may be anything up to |q| |m|.
  const double mean = std::array<double, 4>{0, 0, 1, 0x1p20}[random() % 4];
  if (metric == NF_DOT && mean > 0) {
    basis.mean.assign(static_cast<size_t>(dim), 0.0f);
    basis.mean[0] = static_cast<float>(mean);
  }
  const double d = basis.departure, stretch = std::sqrt(1 + d);
  const Terms terms(metric, basis, weakness);
  const int64_t coded_dim = CodeLayout{metric, dim, 8, 0}.coded_dim();
  const Vectors v = vectors_of(random, dim, metric == NF_DOT, static_cast<double>(terms.params.norm_unit));
  const Coder coder = coder_of(random);
  const Rounding rounding = rounding_of(random);

  double q2 = 0, v2 = 0;
  CodedPair pair;
  for (size_t i = 0; i < v.query.size(); ++i) {
    q2 += static_cast<double>(v.query[i]) * v.query[i];
    v2 += static_cast<double>(v.row[i]) * v.row[i];
    pair.dot += v.query[i] * v.row[i];
  }
  // Errors up to what a coder may leave, sqrt(D)/2 and the rotation's.
  const double most = 0.5 * std::sqrt(static_cast<double>(dim));
  pair.query = sides_of(std::sqrt(q2), part() * most, v.query_scale, coded_dim, coder);
  pair.row = sides_of(std::sqrt(v2), part() * most, v.row_scale, coded_dim, coder);
  const auto sq = static_cast<double>(v.query_scale), sv = static_cast<double>(v.row_scale);
  const double norm_q = std::sqrt(q2) * sq, norm_v = std::sqrt(v2) * sv, product = sq * sv * pair.dot;
  // Of what is stored at worst: a device has a unit to spare.
  const double unit = coder == Coder::kDevice ? static_cast<double>(terms.params.error_unit) : 0;
  const auto spent = [&](const Sides& sides, double scale) {
    return std::max(0.0, static_cast<double>(sides.error) * (1 - 0x1p-22) - unit * scale);
  };
  const double eq = spent(pair.query, sq), ev = spent(pair.row, sv);

  const double canonical = static_cast<double>(padded_dim(dim) / 4 + 8) * u;
  const double lost = flushed_of(metric, dim, rounding);
  double least = 0, greatest = 0;
  if (metric == NF_DOT) {
    const double norm = (norm_q + eq) / std::sqrt(1 - d);  // |q|
    const double offset = mean > 0 ? uniform(random) * norm * mean : 0;
    const double length = (norm_v + ev) / std::sqrt(1 - d);  // |w - m|
    const double reach = stretch * norm * ev + norm_v * eq + d * norm * length +
                         canonical * norm * (length + mean) + lost +
                         (rounding == Rounding::kFlushed ? std::sqrt(dim) * 0x1p-126 * (norm + mean) : 0);
    least = -product - offset - reach;
    greatest = -product - offset + reach;
    pair.terms = {not_below(norm), static_cast<float>(offset), terms.bound.pair_addend(norm, offset), 0};
  } else {
    const double distance = std::sqrt(std::max(0.0, norm_q * norm_q + norm_v * norm_v - 2 * product));
    const double near = std::max(0.0, distance - ev - eq) / stretch,
                 far = (distance + ev + eq) / std::sqrt(1 - d);
    least = std::max(0.0, near * near * (1 - canonical) - lost);
    greatest = far * far * (1 + canonical);
    if (metric == NF_COSINE) least /= 2, greatest /= 2;
    if (metric == NF_POINCARE) {
      // Any alpha up to the shell's; beta from it, up.
      const double root =
          std::array<double, 3>{1, 0.1, 0.0009}[random() % 3] * (1 - 0.5 * std::fabs(uniform(random)));
      const double spare = coder == Coder::kDevice ? 1 + 0x1p-18 : 1;
      pair.beta = static_cast<float>(std::ceil(root * spare / static_cast<double>(kBetaUnit))) * kBetaUnit;
      least /= root * root;
      greatest /= root * root;
    }
  }
  const auto not_above = [](double value) { return -not_below(-value); };
  if (!(greatest < 0x1p127) || !(least > -0x1p127)) return true;
  // A device's ranks are no subnormal numbers if it flushes them.
  return judge(metric, terms, weakness, pair, rounding, flush(not_below(least), rounding),
               flush(not_above(greatest), rounding), count);
}

void test_worst_cases(uint64_t seed) {
  for (size_t w = 0; w < kWeaknesses.size(); ++w) {
    const auto weakness = static_cast<Weakness>(w);
    Generator random(seed);
    Count count;
    for (int i = 0; i < 200'000 && (weakness == Weakness::kNone || count.wrong == 0); ++i) {
      const int32_t dim = std::array<int32_t, 6>{1, 8, 40, 200, 1024, 3072}[random() % (i % 8 == 0 ? 6 : 4)];
      survives(random, dim, kMetrics[random() % 4], weakness, &count);
    }
    if (weakness == Weakness::kNone)
      check(count.wrong == 0, "worst cases are outside of their bounds",
            std::to_string(count.wrong) + ", first: " + count.first);
    else
      check(count.wrong > 0, std::string("worst cases: without ") + kWeaknesses[w] + " none is lost");
  }
}

}  // namespace
}  // namespace nearfield

int main(int argc, char** argv) {
  using namespace nearfield;
  const uint64_t seed = test::seed_of(argc, argv);
  test_data(seed);
  test_worst_cases(seed);
  return test::result();
}
