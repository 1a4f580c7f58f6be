// SPDX-License-Identifier: Apache-2.0
// The centroids of lists on the device: which list a row belongs to, and which lists a query should look
// into.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend.hpp"
#include "checks.hpp"

namespace nearfield {

class CoarseQuantizer {
 public:
  // `values`: count x dim, checked by the rules of the metric. Rows go to the nearest centroid, of cosine to
  // that of least angle, of dot to that of greatest product. On the ball they go to the nearest in the
  // Euclidean sense, as the centroids are Euclidean means, and queries ask by rank |q-c|^2 alpha_c
  // (docs/numerics.md).
  static Status create(const Call& call, Device& device, int32_t metric, int32_t dim,
                       std::vector<float> values, std::shared_ptr<CoarseQuantizer>* out);

  int32_t count() const { return count_; }
  int32_t metric() const { return metric_; }
  const float* values() const { return values_.data(); }
  uint64_t device_bytes() const;

  // The list of each row, which has been checked; `squared`: its squared norm.
  Status assign(const Call& call, const MatrixView& rows, const double* squared, int32_t* list_of_row);
  // The `probes` lists that each query should look into first, best first, batch x probes. Queries are
  // prepared as SearchPlan has them.
  Status nearest(const Call& call, const float* queries, int64_t stride, int64_t batch, int32_t probes,
                 Hit* hits);

  // The lists whose centroids are nearest to each of these lists' own in the sense of assign(), lists.size()
  // x count, best first: the list itself among them, unless others have the same centroid.
  Status neighbours(const Call& call, std::span<const int32_t> lists, int32_t count, Hit* hits);
  // How ill a list suits a row: |v-c|^2, of cosine between directions, of dot |v| - v.c at |c| = 1.
  double cost(const float* row, double squared, int32_t list) const;

  // Whether ranks are distances in space: of L2, and of cosine on the sphere.
  bool has_distances() const { return metric_ == NF_L2SQ || metric_ == NF_COSINE; }
  // |q-v| from a rank.
  double distance(float rank) const {
    return std::sqrt((metric_ == NF_COSINE ? 2.0 : 1.0) * static_cast<double>(rank));
  }
  // Of lists as nearest() has put them: |q-c|^2, and |c - c_0|.
  void distances(std::span<const Hit> order, std::vector<double>* squared,
                 std::vector<double>* between) const;

 private:
  CoarseQuantizer(int32_t metric, int32_t dim, std::vector<float> values);
  std::vector<float> mean() const;
  // Of cosine at length 1.
  const float* prepared_centroids() const { return unit_.empty() ? values_.data() : unit_.data(); }
  static Status find(const Call& call, Store& store, const float* queries, int64_t stride, int64_t batch,
                     int32_t k, Hit* hits);
  Store& assigned() { return assigned_ != nullptr ? *assigned_ : *probed_; }
  Status fill(const Call& call, Device& device, int32_t metric, std::unique_ptr<Store>* store);

  int32_t metric_, dim_, count_;
  std::vector<float> values_;
  std::vector<float> unit_;                   // of cosine: the values at length 1
  std::unique_ptr<Store> probed_, assigned_;  // NULL: the same
  std::vector<float> prepared_;
};

}  // namespace nearfield
