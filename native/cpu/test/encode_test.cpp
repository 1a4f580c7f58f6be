// SPDX-License-Identifier: Apache-2.0
// What a row's codes are said to have lost, against float64: |R (w - m) - s c| is at most the error stored,
// on every instruction set, for whole groups and parts of one, with R and with its factors; and where the
// factors are another matrix than R, by as much as their rounding says and no less.
#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "axes.hpp"
#include "coded_basis.hpp"
#include "codes_fixture.hpp"

namespace nearfield::cpu::test {
namespace {

using namespace gpu::test;  // data and comparisons
using Vector = std::vector<double>;

// `count` orthonormal vectors of `dim`.
Vector orthonormal(std::mt19937_64& random, size_t count, size_t dim) {
  std::normal_distribution<double> normal;
  Vector all(count * dim);
  for (size_t i = 0; i < count; ++i) {
    double* const one = all.data() + i * dim;
    for (size_t j = 0; j < dim; ++j) one[j] = normal(random);
    for (int pass = 0; pass < 2; ++pass)
      for (size_t h = 0; h <= i; ++h) {
        const double* const other = all.data() + h * dim;
        double product = 0;
        for (size_t j = 0; j < dim; ++j) product += one[j] * other[j];
        for (size_t j = 0; j < dim; ++j)
          one[j] = h == i ? one[j] / std::sqrt(product) : one[j] - product * other[j];
      }
  }
  return all;
}

void measure(Basis* basis) {
  const Stop stop = false;
  CHECK(measure_factors(basis->rotation, basis->dim, basis->departure, stop, &basis->factors));
}

// R = I - P'(I - Q) P, Q orthogonal.
std::shared_ptr<Basis> factored(std::mt19937_64& random, int32_t dim, int32_t count) {
  const auto n = static_cast<size_t>(dim), r = static_cast<size_t>(count);
  const Vector p = orthonormal(random, r, n), q = orthonormal(random, r, r);
  Vector w(n * r);
  for (size_t i = 0; i < n; ++i)
    for (size_t k = 0; k < r; ++k)
      for (size_t h = 0; h < r; ++h) w[i * r + k] += p[h * n + i] * ((h == k ? 1 : 0) - q[h * r + k]);
  std::normal_distribution<float> normal;
  auto basis = std::make_shared<Basis>();
  basis->dim = dim;
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j) {
      double sum = i == j ? 1 : 0;
      for (size_t k = 0; k < r; ++k) sum -= w[i * r + k] * p[k * n + j];
      basis->rotation.push_back(static_cast<float>(sum));
    }
  for (const double value : p) basis->factors.reduce.push_back(static_cast<float>(value));
  for (const double value : w) basis->factors.expand.push_back(static_cast<float>(value));
  for (int32_t i = 0; i < dim; ++i) basis->mean.push_back(normal(random));
  basis->factors.count = count;
  const Stop stop = false;
  CHECK(measure_axes(basis->rotation, dim, stop, &basis->departure));
  measure(basis.get());
  CHECK(basis->factors.rounding >= basis->rounding() && basis->factors.rounding <= 4 * basis->rounding());
  return basis;
}

// Rows whose error is more than is stored.
int64_t wrong(const CodeKernels& kernels, int32_t metric, const BasisPtr& given, const Rows& rows) {
  const auto basis = std::make_shared<const CodedBasis>(metric, given, kernels.panel_axes);
  const CodeShape& shape = basis->shape();
  SlabCodes codes;
  CHECK(codes.allocate(kGroupRows, basis));
  AlignedFloats group, work;
  group.fit(group_floats(rows.dim));
  std::fill_n(group.get(), group_floats(rows.dim), 0.0f);
  work.fit(encode_floats(shape));
  float side[kGroupRows] = {};
  for (int64_t i = 0; i < rows.count; ++i) {
    write_row(group.get(), i, rows.dim, rows.row(i));
    side[i] = rows.side[static_cast<size_t>(i)];
  }
  int64_t lost = 0;
  // Whole, most of it, and four rows or fewer, which are rotated one by one.
  for (const auto& [first, count] : {std::pair{0, 32}, {3, 20}, {29, 3}}) {
    EncodeTile tile;
    tile.shape = &shape;
    tile.rows = group.get();
    tile.side = side;
    tile.first = first;
    tile.count = count;
    tile.work = work.get();
    tile.to = codes.group(0);
    kernels.encode(tile);
    for (int64_t row = first; row < first + count; ++row) {
      const uint16_t stored = tile.to.sides[2 * kGroupRows + row];
      if (stored == kAlwaysKeep) continue;
      const auto scale =
          static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(tile.to.sides[row]) << 16));
      double squares = 0;
      for (int64_t axis = 0; axis < rows.dim; ++axis) {
        double y = 0;
        for (int64_t j = 0; j < rows.dim; ++j) {
          const float w = metric == NF_COSINE ? rows.row(row)[j] * side[row] : rows.row(row)[j];
          y += static_cast<double>(given->axis(axis)[j]) *
               (static_cast<double>(w) - static_cast<double>(given->mean[static_cast<size_t>(j)]));
        }
        const int64_t level = axis / shape.level_dims, in_level = axis % shape.level_dims;
        const uint8_t code =
            tile.to.codes[level * tile.to.level_stride + in_level / kChunkFloats * kChunkStride +
                          row * kChunkFloats + in_level % kChunkFloats];
        squares += std::pow(y - scale * (int{code} - kCodeBias), 2);
      }
      if (std::sqrt(squares) > stored * static_cast<double>(shape.error_unit) * scale) ++lost;
    }
  }
  return lost;
}

void test_rows(const CodeKernels& kernels, std::mt19937_64& random) {
  for (const auto& [dim, count] : {std::pair{24, 1}, {67, 20}, {130, 31}})
    for (const int32_t metric : {NF_L2SQ, NF_COSINE}) {
      const std::string name =
          std::string(kernels.name) + " dim " + std::to_string(dim) + " metric " + std::to_string(metric);
      const Rows rows = make_rows(random, metric, dim, kGroupRows);
      const auto basis = factored(random, dim, count);
      CHECK_IN(name, wrong(kernels, metric, basis, rows) == 0);
      const auto dense = std::make_shared<Basis>(*basis);
      dense->factors = {};
      CHECK_IN(name + ", dense", wrong(kernels, metric, dense, rows) == 0);
    }
}

// Rows that lie along P's first and have coordinates without an error: multiples of their scale. Factors that
// take three scales off one more coordinate lose that, and nothing beside it.
void test_other_factors(const CodeKernels& kernels, std::mt19937_64& random) {
  constexpr int32_t kDim = 67, kCount = 20;
  const auto basis = factored(random, kDim, kCount);
  const float* const along = basis->factors.reduce.data();
  Vector y(kDim), x(kDim);
  for (size_t i = 0; i < kDim; ++i)
    for (size_t j = 0; j < kDim; ++j)
      y[i] += static_cast<double>(basis->axis(static_cast<int64_t>(i))[j]) * static_cast<double>(along[j]);
  const auto larger = [](double a, double b) { return std::fabs(a) < std::fabs(b); };
  const auto most = std::max_element(y.begin(), y.end(), larger),
             least = std::min_element(y.begin(), y.end(), larger);
  // A little less than 127: the scale is rounded up.
  const double unit = std::fabs(*most) / 126.98;
  for (auto value = y.begin(); value != y.end(); ++value)
    *value = value == most ? *value / unit : std::nearbyint(*value / unit);
  double length = 0;
  for (size_t j = 0; j < kDim; ++j) {
    for (size_t i = 0; i < kDim; ++i)
      x[j] += static_cast<double>(basis->axis(static_cast<int64_t>(i))[j]) * y[i];
    length += x[j] * static_cast<double>(along[j]);
  }
  Rows rows = make_rows(random, NF_L2SQ, kDim, kGroupRows);
  for (int32_t i = 0; i < kGroupRows; ++i)
    for (size_t j = 0; j < kDim; ++j)
      rows.data[static_cast<size_t>(i) * kDim + j] =
          static_cast<float>(std::ldexp(x[j], i % 4) + static_cast<double>(basis->mean[j]));
  basis->factors.expand[static_cast<size_t>(least - y.begin()) * kCount] += static_cast<float>(3 / length);
  measure(basis.get());
  const std::string name(kernels.name);
  CHECK_IN(name, wrong(kernels, NF_L2SQ, basis, rows) == 0);
  basis->factors.rounding *= 0.9;
  CHECK_IN(name, wrong(kernels, NF_L2SQ, basis, rows) == 52);  // all but those that R turns
}

// Rows that come before the basis, with it, and a few at a time.
void test_answers(const CodeKernels& kernels, std::mt19937_64& random) {
  DeviceOptions options;
  options.force_path = std::string("codes-") + kernels.name;
  std::unique_ptr<Device> device;
  CHECK_OK(make_backend()->create_device(options, &device, kCall));
  if (device == nullptr) return;
  for (const int32_t metric : {NF_L2SQ, NF_COSINE, NF_DOT, NF_POINCARE}) {
    const Case c{metric, 67, 500, metric == NF_POINCARE ? Shape::kNormal : Shape::kDecaying, options};
    const Rows rows = shaped_rows(random, c, c.rows);
    const auto coded = make_store(*device, c, true), plain = make_store(*device, c, false);
    CHECK_OK(coded->append(rows.host(0, 200), kCall));
    coded->set_basis(factored(random, c.dim, 20));
    int64_t left = -1;
    CHECK_OK(coded->recode(c.rows, &left, kCall));
    CHECK_IN(c.name(), left == 0);
    CHECK_OK(coded->append(rows.host(200, 203), kCall));
    CHECK_OK(coded->append(rows.host(203), kCall));
    CHECK_OK(plain->append(rows.host(), kCall));
    compare(c, "factored", *coded, *plain, make_queries(random, rows, 5), {});
  }
}

}  // namespace
}  // namespace nearfield::cpu::test

int main(int argc, char** argv) {
  using namespace nearfield::cpu::test;
  std::mt19937_64 random(nearfield::gpu::test::seed_from(argc, argv, 1));
  for (const nearfield::cpu::CodeKernels* const kernels : nearfield::cpu::compiled_code_kernels()) {
    if (!kernels->supported()) continue;
    test_rows(*kernels, random);
    test_other_factors(*kernels, random);
    test_answers(*kernels, random);
  }
  return nearfield::gpu::test::finish();
}
