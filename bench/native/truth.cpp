// SPDX-License-Identifier: Apache-2.0
// The k nearest rows in float64, by the definitions of docs/numerics.md. Shares no code with native/.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "commands.hpp"
#include "fbin.hpp"
#include "nearfield/nearfield.h"
#include "parallel.hpp"

namespace nearfield::bench {
namespace {

// Rows of a block stay in the first-level cache, as f64, while all queries pass over them.
constexpr int64_t kBlockBytes = 64 << 10;
constexpr int kLanes =
    8;  // independent sums: what lets a compiler without -ffast-math use its vector registers

struct Neighbour {
  double distance;
  int64_t row;
  bool operator<(const Neighbour& other) const {
    return distance != other.distance ? distance < other.distance : row < other.row;
  }
};

// Several versions of one function, chosen when the program starts; GCC and clang on x86-64 only.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define NEARFIELD_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define NEARFIELD_CLONES
#endif

enum class Term { kSquare, kProduct, kAbsolute };

template <Term term>
[[gnu::always_inline]] inline double sum_of(const double* q, const double* v, int64_t dim) {
  double sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const double d = q[i + lane] - v[i + lane];
      sums[lane] += term == Term::kSquare    ? d * d
                    : term == Term::kProduct ? q[i + lane] * v[i + lane]
                                             : std::fabs(d);
    }
  }
  for (; i < dim; ++i) {
    const double d = q[i] - v[i];
    sums[0] += term == Term::kSquare ? d * d : term == Term::kProduct ? q[i] * v[i] : std::fabs(d);
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

NEARFIELD_CLONES double squares(const double* q, const double* v, int64_t dim) {
  return sum_of<Term::kSquare>(q, v, dim);
}
NEARFIELD_CLONES double products(const double* q, const double* v, int64_t dim) {
  return sum_of<Term::kProduct>(q, v, dim);
}
NEARFIELD_CLONES double absolutes(const double* q, const double* v, int64_t dim) {
  return sum_of<Term::kAbsolute>(q, v, dim);
}

// A vector as the metric sees it: f64, of length 1 for cosine, with 1 - |x|^2 for Poincare.
struct Points {
  std::vector<double> x;
  std::vector<double> gap;
};

void take(const float* from, int64_t count, int64_t dim, int32_t metric, Points* to) {
  to->x.assign(from, from + count * dim);
  to->gap.assign(static_cast<size_t>(count), 0);
  if (metric != NF_COSINE && metric != NF_POINCARE) return;
  for (int64_t i = 0; i < count; ++i) {
    double* row = to->x.data() + i * dim;
    const double square = products(row, row, dim);
    to->gap[static_cast<size_t>(i)] = 1 - square;
    if (metric == NF_COSINE) {
      const double scale = 1 / std::sqrt(square);
      for (int64_t d = 0; d < dim; ++d) row[d] *= scale;
    }
  }
}

double distance(int32_t metric, const Points& q, int64_t i, const Points& v, int64_t j, int64_t dim) {
  const double* a = q.x.data() + i * dim;
  const double* b = v.x.data() + j * dim;
  switch (metric) {
    case NF_COSINE:
      return squares(a, b, dim) / 2;
    case NF_DOT:
      return -products(a, b, dim);
    case NF_MANHATTAN:
      return absolutes(a, b, dim);
    case NF_POINCARE:
      return 2 * std::asinh(std::sqrt(squares(a, b, dim) /
                                      (q.gap[static_cast<size_t>(i)] * v.gap[static_cast<size_t>(j)])));
    default:
      return squares(a, b, dim);
  }
}

// Keeps the k least in a heap whose top is the worst.
void offer(std::vector<Neighbour>* heap, size_t k, const Neighbour& found) {
  if (heap->size() < k) {
    heap->push_back(found);
    std::push_heap(heap->begin(), heap->end());
  } else if (found < heap->front()) {
    std::pop_heap(heap->begin(), heap->end());
    heap->back() = found;
    std::push_heap(heap->begin(), heap->end());
  }
}

}  // namespace

Reply truth(const Command& command) {
  const Fbin base(command.text("base")), queries(command.text("queries"));
  const int32_t metric = metric_number(command.text("metric"));
  const int64_t k = command.integer("k"), dim = base.dim();
  if (queries.dim() != dim || k < 1 || k > base.rows())
    throw Refused(format("truth: queries of %lld dimensions and k=%lld, the base has %lld x %lld",
                         static_cast<long long>(queries.dim()), static_cast<long long>(k),
                         static_cast<long long>(base.rows()), static_cast<long long>(dim)));
  Points q;
  take(queries.row(0), queries.rows(), dim, metric, &q);
  int threads = static_cast<int>(command.integer("threads", 0));
  if (threads < 1) threads = usable_threads();

  using Heaps = std::vector<std::vector<Neighbour>>;
  std::vector<Heaps> found(static_cast<size_t>(threads), Heaps(static_cast<size_t>(queries.rows())));
  const int64_t block = std::max<int64_t>(1, kBlockBytes / (dim * static_cast<int64_t>(sizeof(double))));
  parallel(threads, [&](int t, int all) {
    const Share mine = share(base.rows(), t, all);
    Points v;
    for (int64_t from = mine.from; from < mine.to; from += block) {
      const int64_t count = std::min(block, mine.to - from);
      take(base.row(from), count, dim, metric, &v);
      for (int64_t i = 0; i < queries.rows(); ++i) {
        std::vector<Neighbour>& heap = found[static_cast<size_t>(t)][static_cast<size_t>(i)];
        for (int64_t j = 0; j < count; ++j)
          offer(&heap, static_cast<size_t>(k), {distance(metric, q, i, v, j, dim), from + j});
      }
    }
  });

  double sum = 0;  // of all distances: with k = 1 the inertia of a clustering whose centroids are the base
  Output rows(command.text("to") + ".rows");
  for (size_t i = 0; i < static_cast<size_t>(queries.rows()); ++i) {
    std::vector<Neighbour> all;
    for (const Heaps& part : found) all.insert(all.end(), part[i].begin(), part[i].end());
    std::sort(all.begin(), all.end());
    for (size_t j = 0; j < static_cast<size_t>(k); ++j) {
      rows.write(&all[j].row, sizeof(int64_t));
      sum += all[j].distance;
    }
  }
  rows.close();
  return Reply().set("queries", queries.rows()).set("sum", sum);
}

}  // namespace nearfield::bench
