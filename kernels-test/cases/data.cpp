// SPDX-License-Identifier: Apache-2.0
#include "data.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace nearfield::test {
namespace {

using Row = std::vector<double>;

double norm(const Row& x) {
  double squared = 0;
  for (const double v : x) squared += v * v;
  return std::sqrt(squared);
}

void scale(Row* x, double factor) {
  for (double& v : *x) v *= factor;
}

Row gauss(Random* random, int32_t dim) {
  Row x(static_cast<size_t>(dim));
  for (double& v : x) v = random->gauss();
  return x;
}

// A random direction of the given length.
Row of_length(Random* random, int32_t dim, double length) {
  Row x = gauss(random, dim);
  const double n = norm(x);
  if (n == 0) {
    x[0] = length;
  } else {
    scale(&x, length / n);
  }
  return x;
}

Row clustered(Random* random, uint64_t shape, int32_t metric, int32_t dim) {
  Random centres(shape + static_cast<uint64_t>(random->below(10)));
  Row x = gauss(&centres, dim);
  for (double& v : x) v += 0.05 * random->gauss();
  // Inside the ball: spread over radius 0.5 to 0.8 by the clusters' own lengths.
  if (metric == NF_POINCARE) scale(&x, (0.5 + 0.3 * centres.uniform()) / (norm(x) + 1e-9));
  return x;
}

// Integers -2..2, not all zero. Poincare: times a power of two, small enough for every dimension.
Row ties(Random* random, int32_t metric, int32_t dim) {
  Row x(static_cast<size_t>(dim));
  bool zero = true;
  for (double& v : x) {
    v = static_cast<double>(random->below(5) - 2);
    zero = zero && v == 0;
  }
  if (zero) x[0] = 1;
  if (metric == NF_POINCARE) scale(&x, std::exp2(-2 - std::ceil(std::log2(static_cast<double>(dim)) / 2)));
  return x;
}

Row tiny(Random* random, int32_t metric, int32_t dim) {
  if (metric == NF_COSINE) return of_length(random, dim, 0x1p-61 * random->uniform(1, 4));
  // Squares and products are near 2^-126 and below: some are flushed, some are not.
  return of_length(random, dim, 0x1p-63 * random->uniform(0.1, 4));
}

Row subnormals(Random* random, int32_t metric, int32_t dim) {
  Row x = of_length(random, dim, metric == NF_POINCARE ? 0.5 : 1);
  for (size_t i = 1; i < x.size(); ++i) {
    if (random->below(2) == 0) x[i] = 0x1p-130 * random->uniform(-8, 8);
  }
  return x;
}

// (1, t, t, ...) with t^2 = 0.75 to 0.95 of half an ulp of 1: added one by one to the first product, each
// product is rounded away, all in the same direction and by nearly as much as a rounding can take, so that an
// inner product is too small by nearly the bound that the certificates of the matrix form are derived from
// (docs/numerics-cpu.md). The vectors differ in t alone: their distances are far smaller than that. Cosine: a
// little longer, for with the normalised query the first product must not fall below 1, where an ulp is
// halved.
Row directed(Random* random, int32_t metric, int32_t dim) {
  const double length = metric == NF_COSINE ? 1.01 : 1;
  Row x(static_cast<size_t>(dim), length * 0x1p-12 * std::sqrt(random->uniform(0.75, 0.95)));
  x[0] = length;
  return x;
}

// The same where the spacing of numbers is 2^-149: squares are some 512 of it, products of the other elements
// less than half of it. Distances are counted in tens of it.
Row underflow(Random* random, int32_t dim) {
  Row x(static_cast<size_t>(dim), 0x1p-75 * std::sqrt(random->uniform(0.75, 0.95)));
  x[0] = 0x1p-70 * random->uniform(1, 1.5);
  return x;
}

Row make(Data data, int32_t metric, uint64_t shape, int64_t i, Random* random, int32_t dim) {
  const bool ball = metric == NF_POINCARE;
  switch (data) {
    case Data::GAUSS:
      return ball ? of_length(random, dim, random->uniform(0.05, 0.9)) : gauss(random, dim);
    case Data::CLUSTERED:
      return clustered(random, shape, metric, dim);
    case Data::TIES:
      return ties(random, metric, dim);
    case Data::DUPLICATES: {
      Random same(shape);
      return of_length(&same, dim, ball ? 0.7 : 3);
    }
    case Data::OFFSET: {
      Row x = gauss(random, dim);
      for (double& v : x) v += 1000;
      return x;
    }
    case Data::BOUNDARY:
      // 1.1e-5: rounding to f32 must not pass the limit of 1 - 1e-5.
      return of_length(random, dim, 1 - std::exp(random->uniform(std::log(1.1e-5), std::log(1e-3))));
    case Data::ZEROS:
      if (i % 3 == 0) return Row(static_cast<size_t>(dim), 0.0);
      return of_length(random, dim, ball ? 0.5 : 2);
    case Data::HUGE_NORMS:
      return of_length(random, dim, 0x1p62 * random->uniform(0.5, 0.999));
    case Data::TINY:
      return tiny(random, metric, dim);
    case Data::SCALES:
      return of_length(random, dim, std::exp2(random->uniform(-20, 20)));
    case Data::SUBNORMALS:
      return subnormals(random, metric, dim);
    case Data::DIRECTED:
      return directed(random, metric, dim);
    case Data::UNDERFLOW:
      return underflow(random, dim);
  }
  return {};
}

}  // namespace

Vectors::Vectors(int64_t rows, int32_t dim, bool padded)
    : rows_(rows),
      dim_(dim),
      // 5: neither a multiple of 4 floats nor of 16 bytes.
      stride_(dim + (padded ? 5 : 0)),
      storage_(static_cast<size_t>(rows * stride_) + 1, std::numeric_limits<float>::quiet_NaN()) {}

bool Vectors::equal_rows(int64_t i, int64_t j) const {
  return std::memcmp(row(i), row(j), static_cast<size_t>(dim_) * sizeof(float)) == 0;
}

void Vectors::set_row(int64_t i, const float* from) {
  std::memcpy(row(i), from, static_cast<size_t>(dim_) * sizeof(float));
}

nf_matrix Vectors::matrix(int64_t first, int64_t count) const {
  nf_matrix m{};
  m.struct_size = sizeof(m);
  m.dtype = NF_F32;
  m.data = const_cast<float*>(row(first));  // read only by every call but index_read
  m.rows = count;
  m.cols = dim_;
  m.row_stride = stride_ * static_cast<int64_t>(sizeof(float));
  return m;
}

// As FNV-1a, by words: the order of equal words counts, and it is no bottleneck.
uint64_t Vectors::checksum() const {
  uint64_t h = 14695981039346656037u;
  for (const float& x : storage_) h = (h ^ std::bit_cast<uint32_t>(x)) * 1099511628211u;
  return h;
}

void generate(Data data, int32_t metric, uint64_t shape, uint64_t seed, Vectors* to) {
  Random random(seed);
  for (int64_t i = 0; i < to->rows(); ++i) {
    const Row x = make(data, metric, shape, i, &random, to->dim());
    float* row = to->row(i);
    for (int32_t j = 0; j < to->dim(); ++j) row[j] = static_cast<float>(x[static_cast<size_t>(j)]);
  }
}

}  // namespace nearfield::test
