// SPDX-License-Identifier: Apache-2.0
#include "coded_queries.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

namespace nearfield::cpu {

namespace {
constexpr float kNone = std::numeric_limits<float>::infinity();
// ProductTest sums up to eight terms of at most 2 N + 2 g^2 together, with as many roundings: 16 u of each.
constexpr double kRoundings = 16 * 0x1p-24;

float up(double value) { return std::nextafter(static_cast<float>(value), kNone); }
}  // namespace

void CodedQueries::reset(int32_t metric, CodedBasisPtr basis, int64_t count) {
  metric_ = metric;
  basis_ = std::move(basis);
  count_ = 0;
  // With one term rho is 1 for every query.
  const float shrink = basis_->bound().test(CodedQuery(), kNone).shrink;
  product_shrink_ = std::nextafter(shrink - static_cast<float>(kRoundings), 0.0f);
  const auto size = static_cast<size_t>(count);
  queries_.resize(std::max(queries_.size(), size));
  bias_.resize(std::max(bias_.size(), size));
  sums_.assign(size, 0);
}

void CodedQueries::code(int64_t first, int32_t count, const float* query, int64_t stride, int32_t terms,
                        const CodeKernels& kernels) {
  const CodeShape& shape = basis_->shape();
  const float* const mean = metric_ == NF_DOT ? nullptr : shape.mean;
  std::vector<float> x(static_cast<size_t>(count * shape.dim)), y(x.size());
  RotateTile tile;
  tile.shape = &shape;
  tile.count = count;
  for (int32_t i = 0; i < count; ++i) {
    const float* const from = query + i * stride;
    float* const to = x.data() + i * shape.dim;
    for (int64_t dim = 0; dim < shape.dim; ++dim)
      to[dim] = mean == nullptr ? from[dim] : from[dim] - mean[dim];
    tile.vectors[i] = to;
    tile.to[i] = y.data() + i * shape.dim;
  }
  if (shape.rotation == nullptr)
    y.swap(x);
  else
    kernels.rotate(tile);
  for (int32_t i = 0; i < count; ++i)
    code_one(first + i, query + i * stride, y.data() + i * shape.dim, terms);
}

void CodedQueries::code_one(int64_t i, const float* query, const float* y, int32_t terms) {
  const CodeShape& shape = basis_->shape();
  CodedQuery& coded = queries_[static_cast<size_t>(i)];
  code_query(*basis_->basis(), metric_, query, y, terms, &coded);
  int32_t sums[2] = {0, 0};
  std::vector<int32_t>& bias = bias_[static_cast<size_t>(i)];
  bias.resize(static_cast<size_t>(2 * shape.levels));
  for (int64_t level = 0; level < shape.levels; ++level)
    for (int term = 0; term < terms; ++term) {
      const int8_t* codes = coded.codes[term].data() + level * shape.level_dims;
      for (int64_t dim = 0; dim < shape.level_dims; ++dim) sums[term] += codes[dim];
      bias[static_cast<size_t>(2 * level + term)] = kCodeBias * sums[term];
    }
  sums_[static_cast<size_t>(i)] = kCodeBias * sums[0];
}

void CodedQueries::copy_into_panels(const Panels& panels, int64_t packed_dims) {
  const int64_t coded_dim = basis_->shape().coded_dim();
  const bool tiles = packed_dims == kTileDims;
  stride_ = query_stride(packed_dims, coded_dim);
  const int64_t bytes = packed_bytes(packed_dims, coded_dim, panels.queries);
  packed_.fit(bytes / static_cast<int64_t>(sizeof(float)));
  count_ = panels.queries;
  int8_t* to = packed();
  if (tiles) {
    std::fill_n(to, bytes, int8_t{0});
    for (int64_t i = 0; i < panels.queries; ++i, to += stride_)
      std::copy_n(query(i).codes[0].data(), coded_dim, to);
    return;
  }
  for (int64_t panel = 0; panel < panels.count; ++panel)
    for (int64_t dim = 0; dim < coded_dim; dim += packed_dims)
      for (int64_t i = panels.first_query(panel); i < panels.first_query(panel + 1); ++i, to += packed_dims)
        std::copy_n(query(i).codes[0].data() + dim, packed_dims, to);
}

void CodedQueries::keep_panels_alone() {
  for (CodedQuery& query : queries_) {
    query.codes[0] = query.codes[1] = {};
    query.tails = {};
  }
  bias_ = {};
}

void CodedQueries::put(int64_t i, LevelTile* tile) const {
  const CodedQuery& coded = query(i);
  tile->a = coded.codes[0].data();
  tile->b = coded.codes[1].data();
  tile->bias = bias_[static_cast<size_t>(i)].data();
  tile->tails = coded.tails.data() + 1;
  tile->scale_a = coded.scale[0];
  tile->scale_b = coded.scale[1];
}

RunQuery CodedQueries::run_query(int64_t i, int64_t levels) const {
  const CodedQuery& coded = query(i);
  RunQuery run;
  run.codes = coded.codes[0].data();
  run.bias = bias_[static_cast<size_t>(i)].data();
  run.tails = coded.tails.data() + 1;
  run.first_bias = run.bias[2 * (levels - 1)];
  run.first_tail = run.tails[levels - 1];
  return run;
}

ProductTest CodedQueries::product_test(int64_t i, const CodeTest& test) const {
  const CodedQuery& q = query(i);
  ProductTest product{};
  if (test.base == kNone) {
    product.fixed = kNone;
    return product;
  }
  const auto base = static_cast<double>(test.base), gain = static_cast<double>(test.gain);
  if (metric_ == NF_DOT) {
    product.scale = q.scale[0];
    product.per_error = up(static_cast<double>(test.per_error) + kRoundings * q.norm);
    product.per_row = up(static_cast<double>(test.per_norm) + kRoundings * q.norm);
    product.fixed = up(base + std::fabs(base) * kRoundings);
    return product;
  }
  constexpr auto widen = static_cast<double>(kProductWiden);
  product.scale = 2 * q.scale[0];
  product.per_error = up(2 * widen * base);
  product.per_row = -1;
  product.fixed = up(widen * base * base - static_cast<double>(test.query) + kRoundings * q.squared);
  product.beta_squared = up(widen * gain * gain);
  product.per_beta = up(2 * widen * base * gain);
  product.per_beta_error = up(2 * widen * gain);
  return product;
}

ProductTerms CodedQueries::product_terms(const ProductTest& test, const uint16_t* sides, int row,
                                         int32_t dots) const {
  const CodeShape& shape = basis_->shape();
  const float scale = std::bit_cast<float>(static_cast<uint32_t>(sides[row]) << 16);
  const float norm = static_cast<float>(sides[kGroupRows + row]) * shape.norm_unit * scale;
  ProductTerms terms{};
  terms.error = static_cast<float>(sides[2 * kGroupRows + row]) * shape.error_unit * scale;
  if (shape.has_beta) terms.beta = static_cast<float>(sides[3 * kGroupRows + row]) * kBetaUnit;
  const float of_row = metric_ == NF_DOT
                           ? norm
                           : product_shrink_ * (norm * norm) - kProductWiden * (terms.error * terms.error);
  terms.of_pair = sides[2 * kGroupRows + row] == kAlwaysKeep
                      ? kNone
                      : test.scale * (static_cast<float>(dots) * scale) + test.per_row * of_row;
  return terms;
}

uint64_t CodedQueries::bytes() const {
  uint64_t sum = static_cast<uint64_t>(packed_.size()) * sizeof(float) + sums_.capacity() * sizeof(int32_t) +
                 queries_.capacity() * sizeof(CodedQuery);
  for (const CodedQuery& q : queries_)
    sum += q.codes[0].capacity() + q.codes[1].capacity() + q.tails.capacity() * sizeof(float);
  for (const std::vector<int32_t>& bias : bias_) sum += bias.capacity() * sizeof(int32_t);
  return sum;
}

namespace {
// A multiple of a level of at most 32 dimensions, in tiles.
constexpr uint64_t most_stride(uint64_t padded) { return padded + 32 + 2 * kTileDims; }
}  // namespace

uint64_t CodedQueries::bytes_per_query(uint64_t padded) {
  // Codes of two terms and packed, a tail and two sums a level of at least 8 dimensions; rounded up.
  return sizeof(CodedQuery) + 2 * (padded + 32) + most_stride(padded) + 12 * (padded / 8 + 4) + 64;
}

uint64_t CodedQueries::spare_bytes(uint64_t padded) { return (kTileQueries - 1) * most_stride(padded); }

}  // namespace nearfield::cpu
