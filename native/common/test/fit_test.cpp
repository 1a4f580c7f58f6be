// SPDX-License-Identifier: Apache-2.0
// A fitted basis: orthogonal to the departure it states, its axes in order, undisturbed by outliers, valid
// for degenerate samples, and the same for the same sample and seed. --time DIM: how long a fit takes.
#include "fit.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "axes.hpp"
#include "check.hpp"

namespace nearfield {
namespace {

using test::check;
using Generator = std::mt19937_64;
using Vector = std::vector<float>;

double normal(Generator& random) { return std::normal_distribution<double>()(random); }

// Rows of `scale`, about `offset`, whose standard deviations fall as (i+1)^-decay along axes that a product
// of plane rotations spreads over all dimensions.
Vector decaying(Generator& random, int64_t rows, int32_t dim, double decay, double scale, double offset) {
  struct Turn {
    size_t a, b;
    double cosine, sine;
  };
  std::vector<Turn> turns;
  for (int64_t i = 0; dim > 1 && i < int64_t{8} * dim; ++i) {
    const auto a = static_cast<size_t>(random() % static_cast<uint64_t>(dim));
    const auto b = (a + 1 + random() % static_cast<uint64_t>(dim - 1)) % static_cast<size_t>(dim);
    const double angle = 6.3 * static_cast<double>(random() % 1000) / 1000;
    turns.push_back({a, b, std::cos(angle), std::sin(angle)});
  }
  Vector made;
  std::vector<double> row(static_cast<size_t>(dim));
  for (int64_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < row.size(); ++i) row[i] = normal(random) * std::pow(i + 1.0, -decay);
    for (const Turn& turn : turns) {
      const double a = row[turn.a], b = row[turn.b];
      row[turn.a] = turn.cosine * a - turn.sine * b;
      row[turn.b] = turn.sine * a + turn.cosine * b;
    }
    for (const double value : row) made.push_back(static_cast<float>(value * scale + offset));
  }
  return made;
}

struct Fitted {
  Status status;
  BasisPtr basis;
  double tail_share = 0;
};

Fitted fit(const Vector& sample, int32_t dim, uint64_t seed = 7) {
  std::unique_ptr<Fit> fit;
  Fitted fitted;
  fitted.status = Fit::begin("train", dim, sample, seed, &fit);
  if (!fitted.status.ok()) return fitted;
  while (!fit->is_over(std::chrono::seconds(1))) {
  }
  fitted.status = fit->status();
  fitted.basis = fit->basis();
  fitted.tail_share = fit->tail_share();
  return fitted;
}

double departure(const Basis& basis) {
  double sum = 0;
  const auto dim = static_cast<size_t>(basis.dim);
  for (size_t i = 0; i < dim; ++i)
    for (size_t j = 0; j < dim; ++j) {
      double product = i == j ? -1 : 0;
      for (size_t k = 0; k < dim; ++k)
        product += static_cast<double>(basis.rotation[k * dim + i]) *
                   static_cast<double>(basis.rotation[k * dim + j]);
      sum += product * product;
    }
  return std::sqrt(sum);
}

bool finite(const Basis& basis) {
  const auto all = [](const Vector& x) {
    return std::all_of(x.begin(), x.end(), [](float value) { return std::isfinite(value); });
  };
  return all(basis.mean) && all(basis.rotation) && std::isfinite(basis.departure);
}

// Variances of the coordinates of rows that the fit has not seen.
std::vector<double> variances(const Basis& basis, const Vector& rows) {
  std::vector<double> sums(static_cast<size_t>(basis.dim));
  Vector y(sums.size());
  const size_t count = rows.size() / sums.size();
  for (size_t r = 0; r < count; ++r) {
    const float* row = rows.data() + r * sums.size();
    for (size_t i = 0; i < sums.size(); ++i) {
      double sum = 0;
      for (size_t j = 0; j < sums.size(); ++j)
        sum += static_cast<double>(basis.rotation[i * sums.size() + j]) *
               (static_cast<double>(row[j]) - static_cast<double>(basis.mean[j]));
      sums[i] += sum * sum / static_cast<double>(count);
    }
  }
  return sums;
}

void test_axes(uint64_t seed) {
  for (const int32_t dim : {2, 3, 8, 31, 64, 100}) {
    Generator random(seed + static_cast<uint64_t>(dim));
    const std::string name = "decaying, " + std::to_string(dim) + " dimensions";
    const Vector rows = decaying(random, 4500, dim, 1.5, 1, 3);
    const Vector sample(rows.begin(), rows.begin() + int64_t{4000} * dim);
    const Vector unseen(rows.begin() + int64_t{4000} * dim, rows.end());
    const Fitted fitted = fit(sample, dim);
    check(fitted.status.ok() && finite(*fitted.basis), name);
    if (dim < 31) continue;  // a level holds most of so few dimensions: rotating need not pay
    check(fitted.basis->is_rotated(), name + ": is rotated");
    if (!fitted.basis->is_rotated()) continue;
    const double measured = departure(*fitted.basis);
    // Rounding an axis to f32 moves it by at most 2^-24, and so R by 2^-24 sqrt(dim).
    check(fitted.basis->departure >= measured && fitted.basis->departure <= 3 * 0x1p-24 * std::sqrt(dim),
          name + ": departure",
          std::to_string(fitted.basis->departure) + ", in fact " + std::to_string(measured));
    const std::vector<double> found = variances(*fitted.basis, unseen);
    // 500 rows give a variance to sqrt(2 / 500) = 6%; five of that.
    for (size_t i = 0; i < 8; ++i)
      check(std::fabs(found[i] / std::pow(i + 1.0, -3) - 1) < 0.4,
            name + ": variance of axis " + std::to_string(i), std::to_string(found[i]));
    double head = 0, tail = 0;
    for (size_t i = 0; i < found.size(); ++i) (i < found.size() / 4 ? head : tail) += found[i];
    check(fitted.tail_share > 0 && fitted.tail_share < 0.25, name + ": tail_share",
          std::to_string(fitted.tail_share));
    check(tail / (head + tail) < 0.05, name + ": energy beyond the first quarter");
  }
}

void test_flat_spectrum(uint64_t seed) {
  Generator random(seed);
  const int32_t dim = 64;
  Vector rows;
  for (int64_t i = 0; i < int64_t{4000} * dim; ++i) rows.push_back(static_cast<float>(normal(random)));
  const Fitted fitted = fit(rows, dim);
  check(fitted.status.ok() && !fitted.basis->is_rotated(), "a flat spectrum is not rotated");
  check(!fitted.basis->mean.empty(), "a flat spectrum has its mean");
}

void test_outliers(uint64_t seed) {
  Generator random(seed);
  const int32_t dim = 48;
  const Vector clean = decaying(random, 4000, dim, 1.5, 1, 0);
  Vector spoilt = clean;
  for (size_t row = 0; row < 20; ++row)  // half of one in a hundred
    for (size_t i = 0; i < 48; ++i) spoilt[row * 173 * 48 + i] = static_cast<float>(1e6 * normal(random));
  const Fitted without = fit(clean, dim), with = fit(spoilt, dim);
  check(with.status.ok() && with.basis->is_rotated(), "outliers: a rotation");
  if (!with.basis->is_rotated() || !without.basis->is_rotated()) return;
  const std::vector<double> found = variances(*with.basis, clean), wanted = variances(*without.basis, clean);
  for (size_t i = 0; i < 4; ++i)
    check(found[i] > 0.8 * wanted[i], "outliers: variance of axis " + std::to_string(i),
          std::to_string(found[i]));
  float most = 0;
  for (const float value : with.basis->mean) most = std::max(most, std::fabs(value));
  // Of 3,960 rows with a standard deviation of at most 1: 0.016; six of that.
  check(most < 0.1f, "outliers: the mean", std::to_string(most));
}

void test_degenerate(uint64_t seed) {
  Generator random(seed);
  const auto valid = [](const std::string& name, const Vector& rows, int32_t dim) {
    const Fitted fitted = fit(rows, dim);
    check(fitted.status.ok() && fitted.basis != nullptr && fitted.basis->dim == dim &&
              finite(*fitted.basis) && std::isfinite(fitted.tail_share),
          name);
    return fitted.basis;
  };
  for (const int32_t dim : {1, 2, 40}) {
    const std::string name = ", " + std::to_string(dim) + " dimensions";
    const auto size = static_cast<size_t>(dim);
    const BasisPtr equal = valid("all rows equal" + name, Vector(300 * size, 0.1f), dim);
    check(!equal->is_rotated() && equal->mean == Vector(size, 0.1f), "all rows equal: their mean" + name);
    valid("zeros" + name, Vector(300 * size, 0.0f), dim);
    valid("denormal rows" + name, decaying(random, 300, dim, 1, 0x1p-140, 0), dim);
    valid("norms of 2^61" + name, decaying(random, 300, dim, 1, 0x1p59, 0), dim);
    valid("two rows" + name, decaying(random, 2, dim, 1, 1, 0), dim);
    valid("fewer rows than dimensions" + name, decaying(random, 7, dim, 1, 1, 0), dim);
    Vector outlier = decaying(random, 50, dim, 1, 1, 0);
    outlier[0] = 1e18f;
    valid("an outlier of 1e18" + name, outlier, dim);
    Vector line;
    for (int i = 0; i < 300; ++i)
      for (int32_t j = 0; j < dim; ++j) line.push_back(static_cast<float>(i * (j + 1)));
    valid("rows on a line" + name, line, dim);
  }
  check(valid("one dimension", decaying(random, 300, 1, 1, 1, 0), 1)->is_rotated() == false,
        "one dimension is not rotated");
}

void test_determinism(uint64_t seed) {
  Generator random(seed);
  const Vector rows = decaying(random, 2000, 40, 1.5, 1, 1);
  const Fitted first = fit(rows, 40), second = fit(rows, 40);
  check(first.basis->rotation == second.basis->rotation && first.basis->mean == second.basis->mean,
        "the same twice");
}

// Rows as the factors of R turn them, in f32 and any order, are R (w - m) up to the rounding they state.
void test_factors(const Basis& basis, const Vector& rows) {
  const Factors& factors = basis.factors;
  const auto dim = static_cast<size_t>(basis.dim), count = static_cast<size_t>(factors.count);
  check(factors.count == kTopAxes && factors.reduce.size() == count * dim &&
            factors.expand.size() == dim * count && factors.rounding < 4 * basis.rounding(),
        "factors", std::to_string(factors.count) + ", " + std::to_string(factors.rounding));
  double worst = 0;
  for (size_t r = 0; r < 8; ++r) {
    Vector x(dim), reduced(count), y(dim);
    for (size_t j = 0; j < dim; ++j) x[j] = rows[r * dim + j] - basis.mean[j];
    for (size_t k = 0; k < count; ++k)
      for (size_t j = 0; j < dim; ++j) reduced[k] += factors.reduce[k * dim + j] * x[j];
    double off = 0, length = 0;
    for (size_t i = 0; i < dim; ++i) {
      float taken = 0;
      for (size_t k = 0; k < count; ++k) taken += factors.expand[i * count + k] * reduced[k];
      double wanted = 0;
      for (size_t j = 0; j < dim; ++j) {
        const double moved = static_cast<double>(rows[r * dim + j]) - static_cast<double>(basis.mean[j]);
        wanted += static_cast<double>(basis.axis(static_cast<int64_t>(i))[j]) * moved;
        if (i == 0) length += moved * moved;
      }
      off += std::pow(static_cast<double>(x[i] - taken) - wanted, 2);
    }
    worst = std::max(worst, std::sqrt(off / length));
  }
  // Roundings are of either sign: far below the bound, but more than one.
  check(worst <= factors.rounding && worst > 0x1p-24, "a row turned by factors", std::to_string(worst));
}

// Above the dimensions whose axes are all found.
void test_many_dimensions(uint64_t seed) {
  Generator random(seed);
  const int32_t dim = 1040;
  const Vector rows = decaying(random, 1200, dim, 1.5, 1, 1);
  const Vector sample(rows.begin(), rows.begin() + int64_t{1000} * dim);
  const Vector unseen(rows.begin() + int64_t{1000} * dim, rows.end());
  const Fitted first = fit(sample, dim);
  check(first.status.ok() && first.basis->is_rotated() && finite(*first.basis),
        "1040 dimensions are rotated");
  if (!first.basis->is_rotated()) return;
  check(first.basis->departure >= departure(*first.basis) &&
            first.basis->departure < 3 * 0x1p-24 * std::sqrt(dim),
        "1040 dimensions: departure", std::to_string(first.basis->departure));
  const std::vector<double> found = variances(*first.basis, unseen);
  // 200 rows: 10% each; four of that.
  for (size_t i = 0; i < 8; ++i)
    check(std::fabs(found[i] / std::pow(i + 1.0, -3) - 1) < 0.4,
          "1040 dimensions: variance of axis " + std::to_string(i), std::to_string(found[i]));
  check(fit(sample, dim).basis->rotation == first.basis->rotation, "1040 dimensions: the same twice");
  test_factors(*first.basis, unseen);
  const Vector wide = decaying(random, 20, kMostRotatedDim + 1, 1, 1, 1);
  const Fitted centred = fit(wide, kMostRotatedDim + 1);
  check(centred.status.ok() && !centred.basis->is_rotated() && !centred.basis->mean.empty(),
        "4097 dimensions are centred only");
}

void test_giving_up(uint64_t seed) {
  Generator random(seed);
  std::unique_ptr<Fit> fit;
  check(Fit::begin("train", 256, decaying(random, 4000, 256, 1, 1, 0), 1, &fit).ok(), "a fit to give up");
  check(!fit->is_over(std::chrono::nanoseconds(0)), "a fit is not over at once");
  fit->give_up();
  fit.reset();
}

void time_fit(int32_t dim) {
  Generator random(1);
  const int64_t rows = std::min(std::max<int64_t>(int64_t{32} * dim, 4096), (int64_t{1} << 25) / dim);
  std::unique_ptr<Fit> fit;
  Vector sample = decaying(random, rows, dim, 1, 1, 0);
  const auto start = std::chrono::steady_clock::now();
  if (!Fit::begin("train", dim, std::move(sample), 1, &fit).ok()) return;
  while (!fit->is_over(std::chrono::seconds(1))) {
  }
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  std::printf("%d dimensions, %lld rows: %.2f s, %s, departure %.3g\n", dim, static_cast<long long>(rows),
              spent.count(), fit->basis()->is_rotated() ? "rotated" : "not rotated", fit->basis()->departure);
}

}  // namespace
}  // namespace nearfield

int main(int argc, char** argv) {
  using namespace nearfield;
  if (argc == 3 && std::string(argv[1]) == "--time") {
    time_fit(std::atoi(argv[2]));
    return 0;
  }
  const uint64_t seed = test::seed_of(argc, argv);
  test_axes(seed);
  test_flat_spectrum(seed);
  test_outliers(seed);
  test_degenerate(seed);
  test_determinism(seed);
  test_many_dimensions(seed);
  test_giving_up(seed);
  return test::result();
}
