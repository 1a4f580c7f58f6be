// SPDX-License-Identifier: Apache-2.0
// Data for coded stores, and the comparison of one with a store that is not coded.
#pragma once

#include <cstring>

#include "fixture.hpp"

namespace nearfield::gpu::test {

enum class Shape { kNormal, kOffset, kOutlier, kTight, kDecaying, kTiny, kHuge };
inline constexpr Shape kShapes[] = {Shape::kNormal,   Shape::kOffset, Shape::kOutlier, Shape::kTight,
                                    Shape::kDecaying, Shape::kTiny,   Shape::kHuge};

struct Case {
  int32_t metric, dim;
  int64_t rows;
  Shape shape;
  DeviceOptions options;
  std::string name() const {
    return "metric " + std::to_string(metric) + " dim " + std::to_string(dim) + " rows " +
           std::to_string(rows) + " shape " + std::to_string(static_cast<int>(shape)) + " slab " +
           std::to_string(options.slab_bytes) + " " + options.force_path;
  }
};

inline Rows shaped_rows(std::mt19937_64& random, const Case& c, int64_t count) {
  Rows rows = make_rows(random, c.metric, c.dim, count);
  if (c.metric == NF_POINCARE) return rows;
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < count; ++i) {
    float* x = rows.data.data() + i * c.dim;
    for (int32_t j = 0; j < c.dim; ++j) {
      if (c.shape == Shape::kOffset) x[j] += 1000;
      if (c.shape == Shape::kTight) x[j] = static_cast<float>(i % 7) + 1e-5f * x[j];
      if (c.shape == Shape::kDecaying) x[j] *= std::pow(static_cast<float>(j + 1), -0.75f);
      // Cosine has a least norm, others go down to subnormal numbers.
      if (c.shape == Shape::kTiny)
        x[j] *= c.metric == NF_COSINE ? 0x1p-50f : i % 2 == 0 ? 0x1p-120f : 0x1p-95f;
      // Some beyond the longest that is coded.
      if (c.shape == Shape::kHuge) x[j] *= i % 3 == 0 ? 0x1p55f : 0x1p50f;
    }
    if (c.shape == Shape::kOutlier && i == count / 2)
      for (int32_t j = 0; j < c.dim; ++j) x[j] = 1e6f * normal(random);
    if (c.shape == Shape::kTight && i % 11 == 0 && c.metric != NF_COSINE) std::fill_n(x, c.dim, 0.0f);
    rows.side[static_cast<size_t>(i)] = row_side(c.metric, squared_norm(x, c.dim));
  }
  return rows;
}

// Orthogonal up to the rounding to f32, which `departure` measures; skewed: the axes a little longer.
inline BasisPtr random_basis(std::mt19937_64& random, const Rows& rows, int32_t level_dims, double stretch) {
  const int64_t dim = rows.dim;
  auto basis = std::make_shared<Basis>();
  basis->dim = rows.dim;
  basis->level_dims = level_dims;
  std::vector<double> r(static_cast<size_t>(dim * dim));
  std::normal_distribution<double> normal;
  for (int64_t i = 0; i < dim; ++i) {
    double* axis = r.data() + i * dim;
    for (int64_t j = 0; j < dim; ++j) axis[j] = normal(random);
    for (int pass = 0; pass < 2; ++pass) {
      for (int64_t h = 0; h < i; ++h) {
        double product = 0;
        for (int64_t j = 0; j < dim; ++j) product += axis[j] * r[static_cast<size_t>(h * dim + j)];
        for (int64_t j = 0; j < dim; ++j) axis[j] -= product * r[static_cast<size_t>(h * dim + j)];
      }
      double norm = 0;
      for (int64_t j = 0; j < dim; ++j) norm += axis[j] * axis[j];
      for (int64_t j = 0; j < dim; ++j) axis[j] /= std::sqrt(norm);
    }
  }
  for (const double value : r) basis->rotation.push_back(static_cast<float>(value * stretch));
  double departure = 0;
  for (int64_t i = 0; i < dim; ++i)
    for (int64_t j = 0; j < dim; ++j) {
      double sum = i == j ? -1 : 0;
      for (int64_t h = 0; h < dim; ++h)
        sum += static_cast<double>(basis->axis(h)[i]) * static_cast<double>(basis->axis(h)[j]);
      departure += sum * sum;
    }
  basis->departure = std::sqrt(departure) * (1 + 1e-6);
  for (int64_t j = 0; j < dim; ++j) {
    double sum = 0;
    for (int64_t i = 0; i < rows.count; ++i) {
      const double w = static_cast<double>(rows.row(i)[j]);
      sum += rows.metric == NF_COSINE ? w * static_cast<double>(rows.side[static_cast<size_t>(i)]) : w;
    }
    basis->mean.push_back(static_cast<float>(sum / static_cast<double>(rows.count)));
  }
  return basis;
}

inline std::unique_ptr<Store> make_store(Device& device, const Case& c, bool coded) {
  StoreOptions options;
  options.metric = c.metric;
  options.dim = c.dim;
  options.coded = coded;
  std::unique_ptr<Store> store;
  CHECK_OK(device.create_store(options, &store, kCall));
  return store;
}

struct Answer {
  std::vector<Hit> hits;
  std::vector<int32_t> rescored;
  std::vector<uint8_t> certified;
  ScanCount scanned;
};

inline Answer search(const Case& c, Store& store, const Queries& queries, int32_t k,
                     const std::vector<const uint32_t*>& masks, int64_t cap) {
  const auto batch = static_cast<size_t>(queries.batch);
  Answer answer{std::vector<Hit>(batch * static_cast<size_t>(k)),
                std::vector<int32_t>(batch),
                std::vector<uint8_t>(batch, 1),
                {}};
  SearchPlan plan;
  plan.queries = queries.data.data();
  plan.query_stride = queries.stride;
  plan.batch = queries.batch;
  plan.k = k;
  plan.mask_of_query = masks.empty() ? nullptr : masks.data();
  plan.hits = answer.hits.data();
  plan.rescored = answer.rescored.data();
  plan.certified = answer.certified.data();
  plan.cap = cap;
  plan.scanned = &answer.scanned;
  const Status status = store.search(plan, kCall);
  CHECK_IN(c.name() + " " + status.message(), status.ok());
  return answer;
}

inline bool same(const Hit* a, const Hit* b, int32_t k) {
  for (int32_t i = 0; i < k; ++i)
    if (a[i].row != b[i].row || std::memcmp(&a[i].rank, &b[i].rank, sizeof(float)) != 0) return false;
  return true;
}

inline ScanCount scanned;
inline int64_t rescored = 0, scored = 0;  // rows of all queries

inline void compare(const Case& c, const std::string& when, Store& coded, Store& plain,
                    const Queries& queries, const std::vector<const uint32_t*>& masks) {
  const auto n = static_cast<int32_t>(plain.rows());
  for (const int32_t k : {1, 10, 200}) {
    if (k > n) continue;
    const Answer want = search(c, plain, queries, k, masks, 0), got = search(c, coded, queries, k, masks, 0);
    scanned.read += got.scanned.read;
    scanned.whole += got.scanned.whole;
    for (int64_t q = 0; q < queries.batch; ++q) {
      const std::string name =
          c.name() + " " + when + " k " + std::to_string(k) + " query " + std::to_string(q);
      CHECK_IN(name, same(&want.hits[static_cast<size_t>(q * k)], &got.hits[static_cast<size_t>(q * k)], k));
      CHECK_IN(name, got.certified[static_cast<size_t>(q)] == 1);
      rescored += got.rescored[static_cast<size_t>(q)];
      scored += n;
    }
  }
  const int32_t k = std::min(n, 5);
  const Answer want = search(c, plain, queries, k, masks, 0);
  for (const int64_t cap : {int64_t{k}, int64_t{4} * k, int64_t{n}}) {
    const Answer got = search(c, coded, queries, k, masks, cap);
    for (int64_t q = 0; q < queries.batch; ++q) {
      const auto at = static_cast<size_t>(q * k);
      const std::string name =
          c.name() + " " + when + " cap " + std::to_string(cap) + " query " + std::to_string(q);
      if (q == 2) {  // however it is divided
        const Queries one{queries.stride, 1, {queries.row(q), queries.row(q) + queries.stride}};
        const std::vector<const uint32_t*> mask(masks.empty() ? 0 : 1, masks.empty() ? nullptr : masks[2]);
        const Answer alone = search(c, coded, one, k, mask, cap);
        CHECK_IN(name, same(&got.hits[at], alone.hits.data(), k) && got.certified[2] == alone.certified[0]);
      }
      CHECK_IN(name, got.rescored[static_cast<size_t>(q)] <= cap);
      if (got.certified[static_cast<size_t>(q)] == 1) CHECK_IN(name, same(&want.hits[at], &got.hits[at], k));
      if (cap == n) CHECK_IN(name, got.certified[static_cast<size_t>(q)] == 1);
    }
  }
}

}  // namespace nearfield::gpu::test
