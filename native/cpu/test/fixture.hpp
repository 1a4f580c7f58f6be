// SPDX-License-Identifier: Apache-2.0
// Data, a store, and a scalar reference of the canonical final form that shares nothing with the kernels.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "backend.hpp"
#include "metric.hpp"
#include "tile32.hpp"

namespace nearfield::cpu::test {

inline const Call kCall(nullptr, "test");

struct Rows {
  int32_t metric;
  int32_t dim;
  int64_t count;
  std::vector<float> data;
  std::vector<float> side;

  HostRows host(int64_t from = 0, int64_t to = -1) const {
    return {data.data() + from * dim, (to < 0 ? count : to) - from, dim, side.data() + from};
  }
  const float* row(int64_t i) const { return data.data() + i * dim; }
};

// Integers below 2^25 and one rounding: the same floats on every platform, unlike std::normal_distribution.
inline float near_normal(std::mt19937_64& random) {
  int64_t sum = -4 * (int64_t{1} << 22);
  for (int i = 0; i < 4; ++i) sum += static_cast<int64_t>(random() >> 41);
  return static_cast<float>(sum) * 0x1p-22f;
}

// Bell-shaped around `offset`; Poincaré: inside the ball, at radii up to 1 - 1e-5.
// Not inlined: with a constant dimension GCC 12 warns of a loop that never runs.
[[gnu::noinline]] inline Rows make_rows(std::mt19937_64& random, int32_t metric, int32_t dim, int64_t count,
                                        float offset = 0) {
  Rows rows{metric, dim, count, std::vector<float>(static_cast<size_t>(dim * count)), {}};
  constexpr double kRadii[] = {0.1, 0.9, 0.99, 0.999, 0.99999};
  for (int64_t i = 0; i < count; ++i) {
    float* x = rows.data.data() + i * dim;
    for (int32_t j = 0; j < dim; ++j) x[j] = offset + near_normal(random);
    if (metric == NF_COSINE && squared_norm(x, dim) == 0) x[0] = 1;
    if (metric == NF_POINCARE) {
      const double norm = std::sqrt(squared_norm(x, dim));
      const double scale = norm == 0 ? 0 : (kRadii[random() % 5] - 1e-6) / norm;
      for (int32_t j = 0; j < dim; ++j) x[j] = static_cast<float>(x[j] * scale);
    }
    rows.side.push_back(row_side(metric, squared_norm(x, dim)));
  }
  return rows;
}

struct Queries {
  int64_t stride;
  int64_t batch;
  std::vector<float> data;
  const float* row(int64_t i) const { return data.data() + i * stride; }
};

// Prepared and padded, as SearchPlan wants them. Every third is a copy of a row.
[[gnu::noinline]] inline Queries make_queries(std::mt19937_64& random, const Rows& rows, int64_t batch,
                                              float offset = 0) {
  Rows raw = make_rows(random, rows.metric, rows.dim, batch, offset);
  Queries queries{padded_dim(rows.dim), batch, {}};
  queries.data.resize(static_cast<size_t>(queries.stride * batch));
  for (int64_t i = 0; i < batch; ++i) {
    if (i % 3 == 2)
      std::copy_n(rows.row(static_cast<int64_t>(random() % static_cast<uint64_t>(rows.count))), rows.dim,
                  raw.data.data() + i * rows.dim);
    const float* x = raw.row(i);
    prepare_query(rows.metric, x, rows.dim, squared_norm(x, rows.dim),
                  queries.data.data() + i * queries.stride);
  }
  return queries;
}

inline float reference_rank(const Rows& rows, int64_t row, const float* query) {
  float s[4] = {0, 0, 0, 0};
  const float* v = rows.row(row);
  const float side = rows.side[static_cast<size_t>(row)];
  for (int32_t i = 0; i < rows.dim; ++i) {
    float& sum = s[i % 4];
    if (rows.metric == NF_DOT) {
      sum = std::fma(query[i], v[i], sum);
    } else if (rows.metric == NF_MANHATTAN) {
      sum += std::fabs(query[i] - v[i]);
    } else {
      volatile float t = rows.metric == NF_COSINE ? v[i] * side : v[i];
      const float d = query[i] - t;
      sum = std::fma(d, d, sum);
    }
  }
  const float sum = (s[0] + s[2]) + (s[1] + s[3]);
  switch (rows.metric) {
    case NF_COSINE:
      return 0.5f * sum;
    case NF_DOT:
      return -sum + 0.0f;
    case NF_POINCARE:
      return sum * side;
    default:
      return sum;
  }
}

// `wanted`: per row, may be empty.
inline std::vector<Hit> reference_search(const Rows& rows, const float* query, int32_t k,
                                         const std::vector<bool>& wanted) {
  std::vector<Hit> hits;
  for (int64_t row = 0; row < rows.count; ++row)
    if (wanted.empty() || wanted[static_cast<size_t>(row)])
      hits.push_back({row, reference_rank(rows, row, query), 0});
  std::sort(hits.begin(), hits.end(), better);
  hits.resize(static_cast<size_t>(k));
  return hits;
}

inline bool same(const Hit& a, const Hit& b) {
  return a.row == b.row && (a.row == kNoRow || std::memcmp(&a.rank, &b.rank, sizeof(float)) == 0);
}

struct Opened {
  std::unique_ptr<Device> device;
  std::unique_ptr<Store> store;
};

inline Status open(const DeviceOptions& options, int32_t metric, int32_t dim, Opened* out,
                   StoreOptions store = {}) {
  const std::unique_ptr<Backend> backend = make_backend();
  NF_TRY(backend->create_device(options, &out->device, kCall));
  store.metric = metric;
  store.dim = dim;
  return out->device->create_store(store, &out->store, kCall);
}

}  // namespace nearfield::cpu::test
