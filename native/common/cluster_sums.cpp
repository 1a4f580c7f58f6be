// SPDX-License-Identifier: Apache-2.0
#include "cluster_sums.hpp"

#include <algorithm>
#include <cmath>
#include <system_error>
#include <thread>

#include "float_mode.hpp"
#include "signals.hpp"

namespace nearfield {
namespace {

// Additions below which a thread (20 us to start and join) is not worth it: 0.5 ms of one core.
constexpr int64_t kThreadAdds = int64_t{1} << 20;
// The rows come from memory, which a few cores wait for as well as many.
constexpr int32_t kMostThreads = 8;
// Dimensions of a thread's share: a cache line of floats.
constexpr int64_t kShareDims = 16;
// |sum| below this share of the sum of weights is what normalising in f32 leaves of rows that cancel out.
constexpr double kNoDirection = 0x1p-20;

void add_dims(const Points& points, int64_t first, int64_t count, const int32_t* labels, int64_t begin,
              int64_t end, double* sums) {
  for (int64_t i = 0; i < count; ++i) {
    const double weight = points.weight(first + i);
    const float* const row = points.row(first + i);
    double* const to = sums + labels[i] * points.dim;
    for (int64_t j = begin; j < end; ++j) to[j] += weight * static_cast<double>(row[j]);
  }
}

// Ends what has been started, whatever is thrown.
struct Threads {
  std::vector<std::thread> all;
  ~Threads() {
    for (std::thread& thread : all) thread.join();
  }
};

}  // namespace

void normalise(const double* from, double norm, int64_t dim, float* to) {
  for (int64_t i = 0; i < dim; ++i) to[i] = static_cast<float>(from[i] / norm);
}

void ClusterSums::reset(int64_t clusters, int64_t dim) {
  dim_ = dim;
  const auto count = static_cast<size_t>(clusters);
  sums_.assign(count * static_cast<size_t>(dim), 0.0);
  masses_.assign(count, 0.0);
  members_.assign(count, 0);
}

void ClusterSums::count(const Points& points, int64_t row, int32_t cluster, int sign) {
  const auto at = static_cast<size_t>(cluster);
  const double weight = points.weight(row);
  masses_[at] += sign * weight;
  if (weight > 0) members_[at] += sign;
}

void ClusterSums::add(const Points& points, int64_t first, int64_t count, const int32_t* labels,
                      int32_t threads) {
  for (int64_t i = 0; i < count; ++i) this->count(points, first + i, labels[i], 1);
  const int64_t shares = (dim_ + kShareDims - 1) / kShareDims;
  const int64_t most = std::min<int64_t>({shares, threads, kMostThreads, count * dim_ / kThreadAdds});
  const int64_t each = (shares + std::max<int64_t>(1, most) - 1) / std::max<int64_t>(1, most) * kShareDims;
  Threads started;
  int64_t begin = each;  // the caller has the first share
  try {
    const SignalsBlocked blocked;
    for (; begin < dim_; begin += each)
      started.all.emplace_back([this, &points, first, count, labels, begin, each] {
        const DefaultFloatMode mode;
        add_dims(points, first, count, labels, begin, std::min(begin + each, dim_), sums_.data());
      });
  } catch (const std::system_error&) {  // no thread to be had: the caller has the rest too
  }
  add_dims(points, first, count, labels, 0, std::min(each, dim_), sums_.data());
  if (begin < dim_) add_dims(points, first, count, labels, begin, dim_, sums_.data());
}

void ClusterSums::move(const Points& points, int64_t row, int32_t from, int32_t to) {
  count(points, row, from, -1);
  count(points, row, to, 1);
  const double weight = points.weight(row);
  for (int64_t j = 0; j < dim_; ++j) {
    const double part = weight * static_cast<double>(points.row(row)[j]);
    sums_[static_cast<size_t>(from * dim_ + j)] -= part;
    sums_[static_cast<size_t>(to * dim_ + j)] += part;
  }
}

bool ClusterSums::centroid(int32_t metric, int64_t cluster, float* to) const {
  const double* const sum = sums_.data() + cluster * dim_;
  if (mass(cluster) <= 0) return false;
  if (metric == NF_L2SQ) {
    for (int64_t j = 0; j < dim_; ++j) to[j] = static_cast<float>(sum[j] / mass(cluster));
    return true;
  }
  double squared = 0;
  for (int64_t j = 0; j < dim_; ++j) squared += sum[j] * sum[j];
  const double norm = std::sqrt(squared);
  if (norm <= mass(cluster) * kNoDirection) return false;
  normalise(sum, norm, dim_, to);
  return true;
}

}  // namespace nearfield
