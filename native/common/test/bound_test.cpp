// SPDX-License-Identifier: Apache-2.0
// The bound by which rows are left out, against float64: no row whose rank is within the limit may go, at any
// level, whatever the data, the basis and the order of a kernel's roundings. Planted weaknesses, one in each
// term, must lose rows.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "bound_data.hpp"
#include "check.hpp"
#include "coded_query.hpp"
#include "coded_row.hpp"
#include "metric.hpp"

namespace nearfield {
namespace {

using namespace test;
constexpr double u = 0x1p-24;

enum class Weakness { kNone, kError, kQueryError, kDeparture, kC, kTails, kWiden };
constexpr std::array<const char*, 7> kWeaknesses = {
    "nothing", "the error of rows",         "the error of queries", "the departure", "c",
    "tails",   "the canonical form's error"};

// ---- the search for a row that goes wrongly ----

struct Count {
  int64_t pairs = 0, comparisons = 0, left_out = 0, wrong = 0;
  std::string first;
};

struct Coded {
  Vector vector;
  float alpha = 0;
  CodedRow row;
};

class Trial {
 public:
  Trial(const Basis& basis, int32_t metric, Weakness weakness)
      : basis_(basis),
        metric_(metric),
        weakness_(weakness),
        bound_(metric, believed(basis, weakness), weakness == Weakness::kWiden ? -2 : 0) {}

  Coded row(const Vector& vector) const {
    Coded coded{vector, 0, {}};
    const double squared = squared_norm(vector.data(), basis_.dim);
    const float side = row_side(metric_, squared);
    if (metric_ == NF_COSINE)
      for (float& value : coded.vector) value *= side;
    coded.alpha = side;
    Vector y(coded.vector.size());
    rotate_query(basis_, NF_L2SQ, coded.vector.data(), y.data());
    coded.row = test::code_row(basis_, metric_, coded.vector.data(), y.data(), side);
    if (weakness_ == Weakness::kError) coded.row.error = 0;
    if (weakness_ == Weakness::kTails) std::fill(coded.row.tails.begin(), coded.row.tails.end(), 0.0f);
    return coded;
  }

  CodedQuery query(const Vector& vector, int32_t terms, Vector* prepared) const {
    prepared->resize(vector.size());
    prepare_query(metric_, vector.data(), basis_.dim, squared_norm(vector.data(), basis_.dim),
                  prepared->data());
    Vector y(vector.size());
    rotate_query(basis_, metric_, prepared->data(), y.data());
    CodedQuery coded;
    code_query(basis_, metric_, prepared->data(), y.data(), terms, &coded);
    if (weakness_ == Weakness::kQueryError) coded.error = 0;
    return coded;
  }

  void meet(const CodedQuery& query, const Vector& vector, const Coded& row, float limit, Rounding rounding,
            Count* count) const {
    CodeTest test = bound_.test(query, limit);
    if (weakness_ == Weakness::kC && metric_ != NF_DOT) {
      test.shrink = 1;
      test.query = not_below(query.squared);
    }
    const int64_t levels = CodeLayout{metric_, basis_.dim, basis_.level_dims, 0}.levels();
    const bool within = true_rank(metric_, vector, row.vector, row.alpha) <= static_cast<double>(limit) ||
                        canonical_rank(metric_, vector, row.vector, row.alpha) <= limit;
    ++count->pairs;
    for (int64_t seen = 1; seen <= levels; ++seen) {
      ++count->comparisons;
      if (test::kept(test, query, row.row, metric_, basis_.level_dims, seen, rounding)) continue;
      ++count->left_out;
      if (within) lose(count, "level " + std::to_string(seen));
      break;
    }
    if (weakness_ == Weakness::kNone) meet_capped(query, row, limit, within, rounding, count);
  }

 private:
  static Basis believed(const Basis& basis, Weakness weakness) {
    Basis other = basis;
    if (weakness == Weakness::kDeparture) other.departure = 0;
    return other;
  }
  static void lose(Count* count, const std::string& what) {
    if (count->wrong++ == 0) count->first = what;
  }

  // A capped search: no row whose bound reaches the cutoff goes at a level, and no row within the limit is
  // excluded.
  void meet_capped(const CodedQuery& query, const Coded& row, float limit, bool within, Rounding rounding,
                   Count* count) const {
    if (row.row.keep) return;
    CodeTest test = bound_.capped_test(query);
    const int64_t levels = CodeLayout{metric_, basis_.dim, basis_.level_dims, 0}.levels();
    float left = 0;
    if (!test::kept(test, query, row.row, metric_, basis_.level_dims, levels, rounding, &left))
      lose(count, "capped, without a cutoff");
    const float bound =
        bound_.lower_bound(query, left, {row.row.norm * row.row.scale, row.row.error, row.row.beta});
    if (within && bound_.excludes(query, bound, limit)) lose(count, "capped, excluded");
    bound_.set_cutoff(query, bound, &test);
    const Rounding other = rounding == Rounding::kFlushed ? rounding : Rounding::kEach;
    for (int64_t seen = 1; seen <= levels; ++seen)
      if (!test::kept(test, query, row.row, metric_, basis_.level_dims, seen, other)) {
        lose(count, "capped, level " + std::to_string(seen));
        break;
      }
  }

  const Basis& basis_;
  const int32_t metric_;
  const Weakness weakness_;
  const CodeBound bound_;
};

// Every query meets every row, with the row's own rank as the limit, which is the least that must keep it,
// and with that of another row.
void search(Generator& random, int32_t dim, int data, Kind kind, int32_t metric, Weakness weakness,
            Count* count) {
  constexpr int64_t kRows = 30, kQueries = 12;
  std::string name;
  const Vector all = data_of(random, data, dim, kRows + kQueries, &name);
  std::vector<Vector> vectors;
  Vector flat;
  for (int64_t i = 0; i < kRows + kQueries; ++i) {
    Vector vector(all.begin() + i * dim, all.begin() + (i + 1) * dim);
    if (metric == NF_POINCARE && data != 11) {  // into the ball, some of them to its shell
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
  const Trial trial(basis, metric, weakness);
  const size_t rows = vectors.size() * 2 / 3;
  std::vector<Coded> coded;
  for (size_t i = 0; i < rows; ++i) coded.push_back(trial.row(vectors[i]));
  Count here;
  for (size_t q = 0; q < vectors.size(); ++q) {
    if (q < rows && q % 4 != 0) continue;  // some rows are queries too
    Vector prepared;
    const CodedQuery query = trial.query(vectors[q], 1 + static_cast<int32_t>(random() % 2), &prepared);
    if (query.direct) continue;
    for (size_t r = 0; r < rows; ++r) {
      const Coded& row = coded[r];
      const Coded& other =
          random() % 2 == 0 ? row : coded[static_cast<size_t>(below(random, static_cast<int64_t>(rows)))];
      const float limit = random() % 2 == 0
                              ? canonical_rank(metric, prepared, other.vector, other.alpha)
                              : not_below(true_rank(metric, prepared, other.vector, other.alpha));
      trial.meet(query, prepared, row, limit, rounding_of(random), &here);
    }
  }
  if (here.wrong != 0 && count->wrong == 0)
    count->first = name + ", " + std::to_string(dim) + " dimensions, " + kKinds[static_cast<size_t>(kind)] +
                   ", " + metric_name(metric) + ", " + here.first;
  count->pairs += here.pairs;
  count->comparisons += here.comparisons;
  count->left_out += here.left_out;
  count->wrong += here.wrong;
}

Count search_all(uint64_t seed, Weakness weakness, int64_t pairs) {
  Generator random(seed);
  Count count;
  const auto done = [&] { return count.pairs >= pairs || (weakness != Weakness::kNone && count.wrong > 0); };
  for (int round = 0; !done(); ++round)
    for (const int32_t dim : {1, 3, 8, 17, 40, 64, 130})
      for (int data = 0; data < kDataSets && !done(); ++data)
        for (const int32_t metric : {NF_L2SQ, NF_COSINE, NF_DOT, NF_POINCARE})
          search(random, dim, data, static_cast<Kind>(random() % kKinds.size()), metric, weakness, &count);
  return count;
}

void test_rows(uint64_t seed) {
  const Count count = search_all(seed, Weakness::kNone, 1'000'000);
  check(count.wrong == 0, "rows within the limit are left out",
        std::to_string(count.wrong) + ", first: " + count.first);
  check(count.pairs >= 1'000'000 && count.left_out > count.pairs / 20, "rows are left out",
        std::to_string(count.left_out) + " of " + std::to_string(count.pairs));
  std::printf("%lld pairs, %lld comparisons, %lld rows left out\n", static_cast<long long>(count.pairs),
              static_cast<long long>(count.comparisons), static_cast<long long>(count.left_out));
  for (const Weakness weakness :
       {Weakness::kError, Weakness::kQueryError, Weakness::kDeparture, Weakness::kC, Weakness::kTails}) {
    const Count found = search_all(seed + 1, weakness, 3'000'000);
    check(found.wrong > 0,
          std::string("without ") + kWeaknesses[static_cast<size_t>(weakness)] + " no row is lost");
  }
}

// ---- worst cases, which no data has: every error at its bound and in the worst direction ----

// Of code vectors at the distance |y^_q - y^_v| the least rank that a row may have. *limit: rounded up.
struct Worst {
  double departure = 0, query_error = 0, row_error = 0, norm_q = 0;
};

bool survives(Generator& random, int32_t dim, int32_t metric, const Worst& worst, Weakness weakness) {
  Basis basis;
  basis.dim = dim;
  basis.level_dims = 8;
  basis.departure = weakness == Weakness::kDeparture ? 0 : worst.departure;
  const CodeLayout layout{metric, dim, 8, 0};
  const auto coded = static_cast<size_t>(layout.coded_dim());

  CodedQuery query;
  query.codes[0].assign(coded, 0);
  query.scale[0] = 0x1p-7f * static_cast<float>(1 + random() % 255);
  CodedRow row;
  row.codes.assign(coded, 0);
  row.scale = random() % 2 == 0 ? query.scale[0] : 0x1p-7f * static_cast<float>(1 + random() % 255);
  const bool opposite = random() % 2 == 0;
  // A coder leaves no smaller largest code, but for rows of the least scale.
  const bool least = metric == NF_DOT && random() % 4 == 0;
  if (least) row.scale = kLeastScale;
  double q2 = 0, v2 = 0, dot = 0;
  for (size_t i = 0; i < static_cast<size_t>(dim); ++i) {
    const auto a = static_cast<int8_t>(below(random, 255) - 127);
    query.codes[0][i] = a;
    row.codes[i] = opposite ? -a : static_cast<int32_t>(below(random, 255) - 127);
    if (least) row.codes[i] = static_cast<int32_t>(below(random, 3) - 1);
    if (i == 0 && !least) row.codes[i] = 126;
    const double y = static_cast<double>(query.scale[0]) * a,
                 v = static_cast<double>(row.scale) * row.codes[i];
    q2 += y * y;
    v2 += v * v;
    dot += y * v;
  }
  query.tails.assign(static_cast<size_t>(layout.levels()) + 1, 0.0f);
  query.squared = q2;
  query.error = weakness == Weakness::kQueryError ? 0 : worst.query_error * std::sqrt(q2);
  query.norm = (std::sqrt(q2) + worst.query_error * std::sqrt(q2)) / std::sqrt(1 - worst.departure);
  row.tails = query.tails;
  row.norm = static_cast<float>(std::floor(std::sqrt(v2) / static_cast<double>(row.scale) /
                                           static_cast<double>(norm_unit(layout.coded_dim())))) *
             norm_unit(layout.coded_dim());
  const double error = worst.row_error * std::sqrt(v2), query_error = worst.query_error * std::sqrt(q2);
  row.error = weakness == Weakness::kError ? 0 : not_below(error);

  const double stretch = std::sqrt(1 + worst.departure), chunks = static_cast<double>(padded_dim(dim) / 4);
  double rank = 0;
  if (metric == NF_DOT) {
    const double length = (std::sqrt(v2) + error) / std::sqrt(1 - worst.departure);
    rank = -dot - stretch * query.norm * error - std::sqrt(v2) * query_error -
           worst.departure * query.norm * length - (chunks + 4) * u * query.norm * length;
  } else {
    const double distance =
        std::max(0.0, std::sqrt(std::max(0.0, q2 + v2 - 2 * dot)) - error - query_error) / stretch;
    rank = distance * distance * (1 - (chunks + 4) * u);
    if (metric == NF_COSINE) rank /= 2;
  }
  const CodeBound bound(metric, basis, weakness == Weakness::kWiden ? -2 : 0);
  return test::kept(bound.test(query, not_below(rank)), query, row, metric, 8, layout.levels(),
                    rounding_of(random));
}

void test_worst_cases(uint64_t seed) {
  for (const Weakness weakness :
       {Weakness::kNone, Weakness::kError, Weakness::kQueryError, Weakness::kDeparture, Weakness::kWiden}) {
    Generator random(seed);
    int64_t lost = 0;
    for (int i = 0; i < 60'000; ++i) {
      const int32_t dim = std::array<int32_t, 6>{1, 8, 40, 200, 1024, 3072}[random() % (i % 8 == 0 ? 6 : 4)];
      const int32_t metric = std::array<int32_t, 3>{NF_L2SQ, NF_COSINE, NF_DOT}[random() % 3];
      // Errors of the size of a rotation's rounding, of codes, or none.
      const auto part = [&] {
        return std::array<double, 4>{0, 1e-5, 1e-3, 0.02}[random() % 4] * std::fabs(uniform(random));
      };
      Worst worst;
      worst.departure = std::array<double, 4>{0, 1e-6, 1e-3, 0.3}[random() % 4];
      worst.row_error = part();
      worst.query_error = part();
      lost += survives(random, dim, metric, worst, weakness) ? 0 : 1;
    }
    const std::string what = kWeaknesses[static_cast<size_t>(weakness)];
    if (weakness == Weakness::kNone) check(lost == 0, "worst cases are left out", std::to_string(lost));
    if (weakness != Weakness::kNone) check(lost > 0, "worst cases: without " + what + " none is lost");
  }
}

}  // namespace
}  // namespace nearfield

int main(int argc, char** argv) {
  using namespace nearfield;
  const uint64_t seed = test::seed_of(argc, argv);
  test_rows(seed);
  test_worst_cases(seed);
  return test::result();
}
