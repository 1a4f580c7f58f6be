// SPDX-License-Identifier: Apache-2.0
// A test harness of a few lines, data, and a float64 reference of every metric.
#pragma once

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backend.hpp"
#include "metric.hpp"
#include "tile32.hpp"

namespace nearfield::gpu::test {

inline int passed = 0;
inline int failed = 0;

inline bool check(bool ok, const char* what, const char* file, int line, const std::string& context = "") {
  ok ? ++passed : ++failed;
  if (!ok && failed <= 20)
    std::printf("FAIL %s:%d: %s%s%s\n", file, line, what, context.empty() ? "" : "  [",
                context.empty() ? "" : (context + "]").c_str());
  return ok;
}
#define CHECK(condition) ::nearfield::gpu::test::check((condition), #condition, __FILE__, __LINE__)
#define CHECK_IN(context, condition) \
  ::nearfield::gpu::test::check((condition), #condition, __FILE__, __LINE__, (context))
#define CHECK_OK(expression)                                                          \
  do {                                                                                \
    const ::nearfield::Status check_status = (expression);                            \
    ::nearfield::gpu::test::check(check_status.ok(), #expression, __FILE__, __LINE__, \
                                  check_status.message());                            \
  } while (0)

inline int finish() {
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

// The seed: the first argument, or `fallback`; printed with the line that repeats the run.
inline uint64_t seed_from(int argc, char** argv, uint64_t fallback) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // what a crash had said before it
  const uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : fallback;
  std::printf("seed %" PRIu64 "; again with: %s %" PRIu64, seed, argv[0], seed);
  for (int i = 2; i < argc; ++i) std::printf(" %s", argv[i]);
  std::printf("\n");
  return seed;
}

// The backend, or NULL after saying that there is no adapter.
inline std::unique_ptr<Backend> open_backend() {
  auto backend = make_backend();
  int32_t count = 0;
  std::string why;
  CHECK_OK(backend->device_count(&count, &why));
  if (count > 0) return backend;
  std::printf("ABSENT: %s has no device: %s\n", backend->name(), why.c_str());
  return nullptr;
}

inline const Call kCall(nullptr, "test");

struct Rows {
  int32_t metric = 0, dim = 0;
  int64_t count = 0;
  std::vector<float> data, side;

  HostRows host(int64_t from = 0, int64_t to = -1) const {
    return {data.data() + from * dim, (to < 0 ? count : to) - from, dim, side.data() + from};
  }
  const float* row(int64_t i) const { return data.data() + i * dim; }
};

// Normally distributed; a tenth are copies of earlier rows (ties). Poincaré: inside the ball, most near its
// boundary.
[[gnu::noinline]] inline Rows make_rows(std::mt19937_64& random, int32_t metric, int32_t dim, int64_t count) {
  Rows rows{metric, dim, count, std::vector<float>(static_cast<size_t>(dim * count)), {}};
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<double> uniform;
  for (int64_t i = 0; i < count; ++i) {
    float* x = rows.data.data() + i * dim;
    for (int32_t j = 0; j < dim; ++j) x[j] = normal(random);
    if (metric == NF_POINCARE) {
      const double radius = 1 - std::pow(10, -1 - 3.5 * uniform(random));
      const double scale = radius / std::sqrt(squared_norm(x, dim));
      for (int32_t j = 0; j < dim; ++j) x[j] = static_cast<float>(x[j] * scale);
    }
    if (i % 10 == 9) std::copy_n(rows.row(static_cast<int64_t>(random() % static_cast<uint64_t>(i))), dim, x);
    rows.side.push_back(row_side(metric, squared_norm(x, dim)));
  }
  return rows;
}

struct Queries {
  int64_t stride = 0, batch = 0;
  std::vector<float> data;
  const float* row(int64_t i) const { return data.data() + i * stride; }
};

// Prepared and padded, as SearchPlan wants them. Every third is a copy of a row.
inline Queries make_queries(std::mt19937_64& random, const Rows& rows, int64_t batch) {
  Rows raw = make_rows(random, rows.metric, rows.dim, batch);
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

// The rank in float64 and what a kernel may be off: (dim + 8) roundings of 2^-23 of the magnitudes summed
// (twice the unit roundoff, since WGSL does not promise a fused multiply-add), and dim times the smallest
// normal number where denormals are flushed.
struct Exact {
  double rank, bound;
};
inline Exact exact_rank(const Rows& rows, int64_t row, const float* q) {
  const float* v = rows.row(row);
  const double side = rows.side[static_cast<size_t>(row)];
  double sum = 0, magnitude = 0;
  for (int32_t i = 0; i < rows.dim; ++i) {
    double term = 0, size = 0;
    if (rows.metric == NF_DOT) {
      term = static_cast<double>(q[i]) * v[i];
      size = std::fabs(term);
    } else if (rows.metric == NF_MANHATTAN) {
      term = std::fabs(static_cast<double>(q[i]) - v[i]);
      size = std::fabs(q[i]) + std::fabs(v[i]);
    } else {
      const double w = rows.metric == NF_COSINE ? v[i] * side : v[i];
      const double d = q[i] - w;
      term = d * d;
      // The rounding of w, relative to w, enters d whole.
      size = term + 2 * std::fabs(d) * std::fabs(w) + w * w * 0x1p-23;
    }
    sum += term;
    magnitude += size;
  }
  if (rows.metric == NF_DOT) sum = -sum;
  if (rows.metric == NF_COSINE) sum *= 0.5;
  if (rows.metric == NF_POINCARE) sum *= side, magnitude *= side;
  return {sum, (rows.dim + 8) * 0x1p-23 * magnitude + rows.dim * 0x1p-120};
}

}  // namespace nearfield::gpu::test
