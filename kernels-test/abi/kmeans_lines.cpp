// SPDX-License-Identifier: Apache-2.0
// What is wrong with a clustering.
#include <cstring>

#include "table.hpp"

namespace nearfield_test {

void clusterings(Table& t) {
  const Entry kmeans = Entry::kKmeans;
  t.fine(kmeans, "as it should be", [](Requests&) {});
  t.fine(kmeans, "without steps", [](Requests& r) { r.kmeans_step = nullptr; });
  t.fine(kmeans, "a first step", [](Requests& r) { r.kmeans_step->budget_ns = 1; });
  t.fine(kmeans, "no weights, labels or inertia", [](Requests& r) {
    r.kmeans->weights = nullptr;
    r.kmeans->labels = nullptr;
    r.kmeans->inertia = nullptr;
  });
  t.fine(kmeans, "of cosine, balanced", [](Requests& r) {
    r.kmeans->metric = NF_COSINE;
    r.kmeans->balanced = 1;
  });
  t.fine(kmeans, "a sample", [](Requests& r) { r.kmeans->sample = 20; });
  t.fine(kmeans, "a sample of more rows than there are", [](Requests& r) { r.kmeans->sample = kHuge; });
  t.bad(kmeans, "context NULL", "NULL", [](Requests& r) { r.context = nullptr; });
  t.bad(kmeans, "metric 0", "metric=0", [](Requests& r) { r.kmeans->metric = 0; });
  t.unimplemented(kmeans, "a later metric", "metric=9", [](Requests& r) { r.kmeans->metric = 9; });
  t.unimplemented(kmeans, "of Manhattan", "metric=5 (Manhattan)",
                  [](Requests& r) { r.kmeans->metric = NF_MANHATTAN; });
  t.unimplemented(kmeans, "of Poincaré", "metric=4 (Poincaré)",
                  [](Requests& r) { r.kmeans->metric = NF_POINCARE; });
  for (const int32_t clusters : {0, -1, INT32_MIN})
    t.bad(kmeans, std::to_string(clusters) + " clusters", "clusters=" + std::to_string(clusters),
          [clusters](Requests& r) { r.kmeans->clusters = clusters; });
  t.bad(kmeans, "more clusters than rows", "clusters=71, it must be at least 1 and at most 70",
        [](Requests& r) { r.kmeans->clusters = Requests::kDataset + 1; });
  t.bad(kmeans, "2^31-1 clusters", "clusters=2147483647",
        [](Requests& r) { r.kmeans->clusters = INT32_MAX; });
  t.bad(kmeans, "no rows", "clusters=4", [](Requests& r) {
    r.at.dataset.rows = 0;
    r.at.dataset.data = nullptr;
  });
  t.bad(kmeans, "iterations -1", "iterations=-1", [](Requests& r) { r.kmeans->iterations = -1; });
  t.bad(kmeans, "init -1", "init=-1", [](Requests& r) { r.kmeans->init = -1; });
  t.unimplemented(kmeans, "init 2", "init=2", [](Requests& r) { r.kmeans->init = 2; });
  t.bad(kmeans, "balanced 2", "balanced=2", [](Requests& r) { r.kmeans->balanced = 2; });
  t.bad(kmeans, "sample -1", "sample=-1", [](Requests& r) { r.kmeans->sample = -1; });
  t.bad(kmeans, "a sample below the clusters", "sample=3, it must be 0 or at least clusters=4",
        [](Requests& r) { r.kmeans->sample = 3; });
  t.bad(kmeans, "data NULL", "data is NULL", [](Requests& r) { r.kmeans->data = nullptr; });
  t.bad(kmeans, "centroids NULL", "centroids is NULL", [](Requests& r) { r.kmeans->centroids = nullptr; });
  t.bad(kmeans, "centroids misaligned", "misaligned",
        [](Requests& r) { r.kmeans->centroids = misaligned(r.kmeans->centroids); });
  t.bad(kmeans, "weights misaligned", "misaligned",
        [](Requests& r) { r.kmeans->weights = misaligned(r.kmeans->weights); });
  t.bad(kmeans, "labels misaligned", "misaligned",
        [](Requests& r) { r.kmeans->labels = misaligned(r.kmeans->labels); });
  t.bad(kmeans, "inertia misaligned", "misaligned",
        [](Requests& r) { r.kmeans->inertia = misaligned(r.kmeans->inertia); });
  t.bad(kmeans, "NaN", "data row 69, dimension 4 is NaN",
        [](Requests& r) { r.at.dataset_data[Requests::kDataset * kDim - 1] = kNaN; });
  t.bad(kmeans, "a row of zeros, of cosine", "data row 2 has norm 0, cosine", [](Requests& r) {
    r.kmeans->metric = NF_COSINE;
    std::memset(r.at.dataset_data + 2 * kDim, 0, kDim * sizeof(float));
  });
  for (const float weight : {kNaN, kInfinity, -1.0f})
    t.bad(kmeans, "a weight of " + std::to_string(weight),
          "weights[17]=", [weight](Requests& r) { r.at.weights[17] = weight; });
  t.bad(kmeans, "three rows that count", "the sample has 3 rows of a weight above 0",
        [](Requests& r) { std::memset(r.at.weights + 3, 0, sizeof(r.at.weights) - 3 * sizeof(float)); });
  t.bad(kmeans, "rows in three places", "clusters=4, the rows lie in 3 different places", [](Requests& r) {
    for (int64_t i = 3; i < Requests::kDataset; ++i)
      std::memcpy(r.at.dataset_data + i * kDim, r.at.dataset_data + i % 3 * kDim, kDim * sizeof(float));
  });
  const auto warm = [](Requests& r) {
    r.kmeans->init = 1;
    std::memcpy(r.at.centroids, r.at.dataset_data, sizeof(float) * Requests::kClusters * kDim);
  };
  t.fine(kmeans, "a warm start", warm);
  t.bad(kmeans, "a warm start of NaN", "centroid 3, dimension 0 is NaN", [warm](Requests& r) {
    warm(r);
    r.at.centroids[3 * kDim] = kNaN;
  });
  t.bad(kmeans, "a warm start without a direction", "centroid 1 has norm 0, of dot", [warm](Requests& r) {
    warm(r);
    r.kmeans->metric = NF_DOT;
    std::memset(r.at.centroids + kDim, 0, kDim * sizeof(float));
  });
  t.bad(kmeans, "budget -1", "budget_ns=-1", [](Requests& r) { r.kmeans_step->budget_ns = -1; });
  t.bad(kmeans, "position 1", "position=1", [](Requests& r) { r.kmeans_step->position = 1; });
  t.bad(kmeans, "work of its own making", "no work", [](Requests& r) { r.kmeans_step->work = &r; });
}

}  // namespace nearfield_test
